"""What a client session is told, and what it tells (RFC 5321, client side): values only."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from gatepost.wire.smtp.extensions import Offers
from gatepost.wire.smtp.notification import RecipientWishes, Ret
from gatepost.wire.smtp.reply_reader import ServerReply
from gatepost.wire.values import value


class Dialect(Enum):
    """What the other side speaks."""

    SMTP = auto()
    LMTP = auto()


class Phase(IntEnum):
    """What is waited for. (An IntEnum: it is looked up several times a message, and hashes fast.)"""

    GREETING = auto()
    HELLO = auto()
    START_TLS = auto()
    AUTH = auto()
    READY = auto()
    RESET = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    CONTENT = auto()
    FINAL_DOT = auto()
    QUIT = auto()
    OVER = auto()


class FaultKind(Enum):
    """Why there is no reply that would settle it."""

    #: The connection ended.
    LOST = auto()
    #: What came was no SMTP.
    GARBAGE = auto()
    #: Content has 8-bit octets and the server lacks 8BITMIME (RFC 6152 §3).
    NEEDS_EIGHT_BIT = auto()
    #: Content is binary and the server lacks BINARYMIME (RFC 3030 §3).
    NEEDS_BINARY = auto()
    #: An address or a header field is not ASCII and the server lacks SMTPUTF8 (RFC 6531 §3.2).
    NEEDS_UTF8 = auto()
    #: The server announced a limit that the content exceeds (RFC 1870 §4).
    TOO_LARGE = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """No reply, and why. `phase`: how far it had come."""

    kind: FaultKind
    phase: Phase
    text: str = ""


Verdict = ServerReply | Fault


@value(frozen=True, slots=True)
class Envelope:
    """One transaction without its content.

    `reverse_path` is "" for the null reverse-path. `size` in octets, as they would be stored; where
    content is `binary`, exactly as many as will be sent. `utf8`: a path or the header section is
    not ASCII.
    `wishes` go with `forward_paths`, in their order; () for none. They, `ret` and `envid` are said
    to a server that offers DSN, `priority` to one that offers MT-PRIORITY; None leaves it out.
    """

    reverse_path: str
    forward_paths: Sequence[str]
    size: int = 0
    eight_bit: bool = False
    binary: bool = False
    utf8: bool = False
    wishes: Sequence[RecipientWishes] = ()
    ret: Ret | None = None
    envid: str = ""
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class NeedOctets:
    """Nothing to do until the server says more."""


@value(frozen=True, slots=True)
class Ready:
    """Greeted: `offers` tells what the server can do. Now `start_tls`, `log_in`, `begin`, `quit`."""

    offers: Offers


@dataclass(frozen=True, slots=True)
class TlsAccepted:
    """Shake hands now, then call `tls_established`; unread octets before that are an attack."""


@dataclass(frozen=True, slots=True)
class TlsRefused:
    """STARTTLS was offered and then refused; the session goes on in clear."""

    reply: ServerReply


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The login was accepted."""


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """The login was refused, or (`reply` None) there is no mechanism in common.

    `words`: what was said beside the reply: the server's about a token, or ours about a server
    that did not prove itself (then the reply may be a 235 which is not believed).
    """

    reply: ServerReply | None
    words: str = ""


@value(frozen=True, slots=True)
class ContentWanted:
    """354 came: `send_content` in as many pieces as you like, then `end_content`."""


@value(frozen=True, slots=True)
class TransactionEnded:
    """One verdict for each forward-path of the envelope, in its order."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: `cause` is the last reply (221, 421, a refused greeting), or the
    fault."""

    cause: Verdict


Event = (
    NeedOctets | Ready | TlsAccepted | TlsRefused | LoggedIn | LoginRefused | ContentWanted
    | TransactionEnded | Ended
)  # fmt: skip
