"""The SMTP engines (RFC 5321): sessions that own no socket."""
