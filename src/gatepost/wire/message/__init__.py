"""Messages as octets (RFC 5322): found, counted, prefixed; never parsed into a tree."""
