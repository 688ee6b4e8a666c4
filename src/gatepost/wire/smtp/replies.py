"""Every reply Gatepost can say, once.

RFC 5321 §4.2 (shape), RFC 3463 and RFC 2034 (enhanced codes), RFC 4954 §6 (AUTH), RFC 6409
(submission). No other module may write a three-digit code. Clients match on codes: changing one
is a breaking change; words may improve.
"""

from dataclasses import field
from typing import Final

from gatepost.wire.smtp.limits import REPLY_LINE
from gatepost.wire.values import value


@value(frozen=True, slots=True)
class Reply:
    """One SMTP reply.

    `status` is None where RFC 2034 §4 forbids an enhanced code (220 greeting, EHLO's 250, 334,
    354). `offends` marks what counts towards the end of the connection. `octets` is the encoded
    form, CRLF included.
    """

    code: int
    status: str | None
    text: str
    rfc: str = ""
    offends: bool = False
    octets: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "octets", _encode(self.code, self.status, self.text))

    @property
    def accepts(self) -> bool:
        """True for 2xx and 3xx: the dialogue moves on."""
        return self.code < 400

    def say(self, text: str) -> "Reply":
        """Return this reply with other words (a queue id, the address that was refused)."""
        return Reply(self.code, self.status, text, self.rfc, self.offends)

    def about(self, detail: str) -> "Reply":
        """Return this reply with `detail` behind its words, stripped of what a reply may not hold."""
        return self.say(f"{self.text}: {printable(detail)}")


def printable(text: str) -> str:
    """Return `text` in one line of printable ASCII (RFC 5321 §4.2: textstring), at most 200."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:200])


def _encode(code: int, status: str | None, text: str) -> bytes:
    """Return the octets of RFC 5321 §4.2.1, one reply line per line of text."""
    lead = f"{status} " if status else ""
    lines = [f"{lead}{line}"[: REPLY_LINE - 4] for line in text.split("\n")]
    head = "".join(f"{code}-{line}\r\n" for line in lines[:-1])
    return f"{head}{code} {lines[-1]}\r\n".encode()


# fmt: off
#     name                          code  status    words, and what demands them
READY: Final                = Reply(220, None,     "Gatepost ESMTP", "5321#4.3.1")
START_TLS: Final            = Reply(220, "2.0.0",  "Go ahead", "3207#4")
HELP: Final                 = Reply(214, "2.0.0",  "See RFC 5321; the operator knows the rest", "5321#4.1.1.8")
GOODBYE: Final              = Reply(221, "2.0.0",  "Goodbye", "5321#4.1.1.10")
AUTHENTICATED: Final        = Reply(235, "2.7.0",  "Authentication succeeded", "4954#6")
OK: Final                   = Reply(250, "2.0.0",  "OK", "5321#4.2.3")
HELLO: Final                = Reply(250, None,     "Hello", "5321#4.1.1.1")
SENDER_OK: Final            = Reply(250, "2.1.0",  "Sender OK", "5321#3.3")
PRIORITY_LOWERED: Final     = Reply(250, "2.3.6",  "is the priority that this account may use; sender OK", "6710#4.1")
RECIPIENT_OK: Final         = Reply(250, "2.1.5",  "Recipient OK", "5321#3.3")
CHUNK_RECEIVED: Final       = Reply(250, "2.0.0",  "Chunk received", "3030#2")
QUEUED: Final               = Reply(250, "2.0.0",  "Queued as", "5321#4.2.5")
QUEUED_BEFORE: Final        = Reply(250, "2.0.0",  "Queued before as", "5321#4.2.5")
JUDGED: Final               = Reply(250, "2.0.0",  "Judged, not queued", "5321#4.2.5")
CANNOT_VERIFY: Final        = Reply(252, "2.5.0",  "Cannot VRFY; send a message and see", "5321#7.3")
CHALLENGE: Final            = Reply(334, None,     "", "4954#4")
SEND_CONTENT: Final         = Reply(354, None,     "End with <CRLF>.<CRLF>", "5321#4.1.1.4")

STOPPING: Final             = Reply(421, "4.3.2",  "Service is stopping; try again soon", "5321#3.8")
OVERLOADED: Final           = Reply(421, "4.3.2",  "Too busy; try again soon", "5321#3.8")
IDLE_TOO_LONG: Final        = Reply(421, "4.4.2",  "Idle for too long; closing", "5321#4.5.3.2.7")
SESSION_TOO_LONG: Final     = Reply(421, "4.4.2",  "Connection was open for too long; closing", "5321#3.8")
TOO_SLOW: Final             = Reply(421, "4.4.2",  "Content comes too slowly; closing", "5321#3.8")
TOO_MANY_CONNECTIONS: Final = Reply(421, "4.7.0",  "Too many connections; close some and try again", "5321#3.8")
TOO_MANY_ERRORS: Final      = Reply(421, "4.7.0",  "Too many errors; closing", "5321#3.8")
LOCKED_OUT: Final           = Reply(421, "4.7.0",  "Too many failed logins from your address; try again later", "4954#6")
INTERNAL_FAULT: Final       = Reply(421, "4.3.0",  "Our own fault; try again later", "5321#3.8")
CREDENTIAL_HELD: Final      = Reply(450, "4.7.0",  "This login is held after unusual activity; ask the operator", "3463#3.8")
QUOTA_SPENT: Final          = Reply(450, "4.7.0",  "Quota spent", "3463#3.8")
STORE_AWAY: Final           = Reply(451, "4.3.0",  "Storage is not available; try again later", "5321#4.2.5")
KEY_NOT_PUBLISHED: Final    = Reply(451, "4.7.5",  "The DKIM key of this domain is not published yet; try again later, and tell the operator", "3463#3.8")
SIGNATURE_BROKEN: Final     = Reply(451, "4.3.0",  "The signature that we made is not good; try again later", "5321#4.2.5")
CANNOT_VERIFY_AUTHOR: Final = Reply(451, "4.4.3",  "Cannot tell now whether this is genuine: the DNS does not answer; try again later", "3463#3.5")
DISK_NEARLY_FULL: Final     = Reply(452, "4.3.1",  "Not enough disk space; try again later", "5321#4.5.3.1.10")
NO_MEMORY: Final            = Reply(452, "4.3.1",  "Too much content at once; try again soon", "5321#4.5.3.1.10")
TOO_MANY_RECIPIENTS: Final  = Reply(452, "4.5.3",  "Too many recipients; send the rest in another message", "5321#4.5.3.1.10")
LOGIN_NOT_POSSIBLE: Final   = Reply(454, "4.7.0",  "Cannot check credentials now; try again later, they may be right", "4954#6")
LOGIN_LOCKED: Final         = Reply(454, "4.7.0",  "Too many failed logins to this account from your address; try again later", "4954#6")

UNKNOWN_COMMAND: Final      = Reply(500, "5.5.2",  "Unknown command", "5321#4.2.4", offends=True)
LINE_TOO_LONG: Final        = Reply(500, "5.5.2",  "Line too long", "5321#4.5.3.1.4", offends=True)
BARE_LINE_ENDING_COMMAND: Final = Reply(500, "5.5.2", "Lines end with CRLF and hold no bare CR, LF or NUL", "5321#2.3.8", offends=True)
NOT_SMTP: Final             = Reply(500, "5.5.2",  "This is SMTP; closing", "5321#4.2.4", offends=True)
AUTH_LINE_TOO_LONG: Final   = Reply(500, "5.5.6",  "Authentication exchange line is too long", "4954#4", offends=True)
BAD_ARGUMENT: Final         = Reply(501, "5.5.4",  "Syntax error in the arguments", "5321#4.2.2", offends=True)
LATER_FULL: Final           = Reply(552, "5.7.16", "Too much mail of yours waits for its time already; send it later, or cancel some", "4865#6")
BAD_HOLD: Final             = Reply(501, "5.5.4",  "Messages are not held for so long", "4865#4.2", offends=True)
BAD_SENDER_SYNTAX: Final    = Reply(501, "5.1.7",  "Bad address syntax in the reverse-path", "6409#5.1", offends=True)
BAD_RECIPIENT_SYNTAX: Final = Reply(501, "5.1.3",  "Bad address syntax in the forward-path", "6409#5.1", offends=True)
NOT_BASE64: Final           = Reply(501, "5.5.2",  "Not base64", "4954#4", offends=True)
AUTH_CANCELLED: Final       = Reply(501, "5.7.0",  "Authentication cancelled", "4954#4", offends=True)
NO_INITIAL_RESPONSE: Final  = Reply(501, "5.7.0",  "This mechanism takes no initial response", "4954#4", offends=True)
NOT_OFFERED: Final          = Reply(502, "5.5.1",  "Command not offered here", "5321#4.2.4", offends=True)
OUT_OF_ORDER: Final         = Reply(503, "5.5.1",  "Bad sequence of commands", "5321#4.1.4", offends=True)
SAY_HELLO_FIRST: Final      = Reply(503, "5.5.1",  "Send EHLO first", "5321#4.1.4", offends=True)
NO_RECIPIENTS: Final        = Reply(503, "5.5.1",  "No recipients: send RCPT first", "5321#3.3", offends=True)
TRANSACTION_FAILED: Final   = Reply(503, "5.5.1",  "This transaction has failed: send RSET", "3030#2")
BINARY_BY_BDAT: Final       = Reply(503, "5.5.1",  "Content of BODY=BINARYMIME comes by BDAT, not by DATA", "3030#3", offends=True)
ALREADY_AUTHENTICATED: Final = Reply(503, "5.5.1", "Already authenticated", "4954#4", offends=True)
AUTH_IN_TRANSACTION: Final  = Reply(503, "5.5.1",  "AUTH is not possible inside a transaction", "4954#4", offends=True)
AUTH_NOT_HERE: Final        = Reply(503, "5.5.1",  "No AUTH on this port: log in on port 587 (STARTTLS) or 465 (TLS)", "4954#3", offends=True)
TLS_NOT_OFFERED: Final      = Reply(503, "5.5.1",  "STARTTLS is not offered now", "3207#4", offends=True)
UNKNOWN_MECHANISM: Final    = Reply(504, "5.5.4",  "Authentication mechanism is not offered", "4954#4", offends=True)
AUTH_REQUIRED: Final        = Reply(530, "5.7.0",  "Authentication required: log in with AUTH first", "6409#4.3", offends=True)
TLS_REQUIRED: Final         = Reply(530, "5.7.0",  "TLS required: issue STARTTLS first, then AUTH", "6409#4.3", offends=True)
ACCOUNT_SUSPENDED: Final    = Reply(525, "5.7.13", "This account is suspended; ask the operator", "5248#2.4")
APP_PASSWORD_REQUIRED: Final = Reply(534, "5.7.9", "This account needs an app password: ask the operator for one", "4954#6", offends=True)
BAD_CREDENTIALS: Final      = Reply(535, "5.7.8",  "Authentication credentials invalid", "4954#6", offends=True)
AUTH_BEFORE_TLS: Final      = Reply(538, "5.7.11", "Encryption required: use STARTTLS on port 587, or port 465 (TLS)", "4954#6", offends=True)
NO_SUCH_MAILBOX: Final      = Reply(550, "5.1.1",  "No such mailbox here", "5321#3.3", offends=True)
NO_MAILBOX_BEHIND: Final    = Reply(550, "5.1.1",  "The server behind this one has no such mailbox", "5321#3.3", offends=True)
SENDER_NOT_ASCII: Final     = Reply(550, "5.6.7",  "This reverse-path is not ASCII: say SMTPUTF8 with MAIL", "6531#3.5")
RELAYING_DENIED: Final      = Reply(550, "5.7.1",  "Relaying denied: log in on port 587 or 465 to send elsewhere", "5321#3.6.2", offends=True)
SENDER_NOT_YOURS: Final     = Reply(550, "5.7.1",  "This account may not send as", "6409#6.1")
RECIPIENT_NOT_YOURS: Final  = Reply(550, "5.7.1",  "This account may not write to", "6409#6.1")
SUPPRESSED: Final           = Reply(550, "5.7.1",  "Recipient is suppressed here", "5321#3.3")
SUSPENDED_MEANWHILE: Final  = Reply(550, "5.7.13", "This account was suspended, or its login revoked; ask the operator", "6409#6.1")
NOT_ALIGNED: Final          = Reply(550, "5.7.26", "Receivers would not find this aligned for DMARC", "7372#3.4")
DMARC_REFUSED: Final        = Reply(550, "5.7.26", "Not genuine by DMARC", "7372#3.4")
MESSAGE_TOO_LARGE: Final    = Reply(552, "5.3.4",  "Message too large", "1870#6.1")
RECIPIENT_NOT_ASCII: Final  = Reply(553, "5.6.7",  "This forward-path is not ASCII: say SMTPUTF8 with MAIL", "6531#3.5")
TLS_INJECTION: Final        = Reply(554, "5.5.1",  "Octets came behind STARTTLS; closing", "3207#6", offends=True)
ALL_REFUSED: Final          = Reply(554, "5.5.1",  "No valid recipients", "5321#3.3")
SENDER_NOT_QUALIFIED: Final = Reply(554, "5.1.8",  "Reverse-path domain is not fully qualified", "6409#4.2")
RECIPIENT_NOT_QUALIFIED: Final = Reply(554, "5.1.2", "Forward-path domain is not fully qualified", "6409#4.2")
MAIL_LOOP: Final            = Reply(554, "5.4.6",  "Mail loop: too many Received fields", "5321#6.3")
KEY_REUSED: Final           = Reply(554, "5.5.4",  "Idempotency key was used for another message", "5321#4.2.5")
BAD_CONTENT: Final          = Reply(554, "5.6.0",  "Message refused", "6409#6.3")
HEADER_NOT_ASCII: Final     = Reply(554, "5.6.9",  "An address in the header is not ASCII: say SMTPUTF8 with MAIL", "6531#3.5")
UNKNOWN_PARAMETER: Final    = Reply(555, "5.5.4",  "Unknown parameter", "5321#4.1.1.11", offends=True)
# fmt: on

CATALOGUE: Final = {n: r for n, r in globals().items() if isinstance(r, Reply)}
