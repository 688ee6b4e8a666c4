"""How long anything on the wire may be, each figure once, in octets without CRLF unless said."""

from typing import Final

#: RFC 5321 §4.5.3.1.4: 512 with CRLF.
COMMAND_LINE: Final = 510
#: MAIL grows with its parameters: SIZE 26 (RFC 1870 §3), BODY 16 (RFC 6152 §3), AUTH 500
#: (RFC 4954 §3). Room to spare, so that an unknown parameter is named (555), not cut off.
MAIL_LINE: Final = 2048
#: RFC 3461 §5.4: 530 for NOTIFY and ORCPT beside the 512 of every command; room to spare.
RCPT_LINE: Final = 2048
#: RFC 3461 §5.4, in characters of xtext.
ENVID: Final = 100
ORCPT: Final = 500
#: RFC 4954 §4 gives 12288 to the lines of an exchange; we accept as much on the AUTH line.
AUTH_LINE: Final = 12288
#: RFC 5321 §4.5.3.1.1, .2 and .3 (the path with its angle brackets).
LOCAL_PART: Final = 64
DOMAIN: Final = 255
PATH: Final = 256
#: RFC 1035 §2.3.4.
LABEL: Final = 63
#: RFC 5321 §4.5.3.1.5: 512 with code and CRLF; each line of a reply of ours stays below.
REPLY_LINE: Final = 510
#: RFC 5321 §4.5.3.1.6: 1000 with CRLF.
CONTENT_LINE: Final = 998
#: RFC 5321 §4.5.3.1.8: a server takes at least so many.
LEAST_RECIPIENTS: Final = 100
#: So many commands are answered before others get their turn (1 ms): a quarter of a megabyte of
#: NOOP would hold them up for 0.1 s, chunks of one octet for longer.
COMMANDS_AT_ONCE: Final = 100
#: One with a domain beyond ASCII takes as long as so many others.
BEYOND_ASCII: Final = 10
#: So many offences end a connection (421 4.7.0). Postfix: 20 (smtpd_hard_error_limit).
OFFENCES: Final = 10
