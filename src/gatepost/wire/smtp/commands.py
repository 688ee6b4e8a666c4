"""One frozen dataclass per command (RFC 5321 §4.1.1)."""

from dataclasses import dataclass

from gatepost.wire.smtp.future_release import Hold
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.notification import NO_WISHES, RecipientWishes, Ret
from gatepost.wire.values import value


@dataclass(frozen=True, slots=True)
class Ehlo:
    """EHLO or HELO (`extended` False) with the client's name."""

    client_name: str
    extended: bool


@value(frozen=True, slots=True)
class Mail:
    """MAIL FROM:<reverse-path>. `reverse_path` is None for <>; `size` is what SIZE= announced,
    0 for nothing; `eight_bit` is BODY=8BITMIME (RFC 6152), `binary` BODY=BINARYMIME (RFC 3030),
    `utf8` SMTPUTF8 (RFC 6531); `ret` and `envid` are for reports (RFC 3461); `hold` is when to
    release it (RFC 4865); `priority` -9 to 9 (RFC 6710).
    """

    reverse_path: Mailbox | None
    size: int = 0
    eight_bit: bool = False
    binary: bool = False
    utf8: bool = False
    ret: Ret | None = None
    envid: str = ""
    hold: Hold | None = None
    priority: int | None = None


@value(frozen=True, slots=True)
class Rcpt:
    """RCPT TO:<forward-path>, with what its sender wishes to hear (RFC 3461)."""

    forward_path: Mailbox
    wishes: RecipientWishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class Data:
    """DATA."""


@dataclass(frozen=True, slots=True)
class Bdat:
    """BDAT (RFC 3030 §2): `size` octets of content follow its line."""

    size: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Rset:
    """RSET."""


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP, with or without a string."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT."""


@dataclass(frozen=True, slots=True)
class Vrfy:
    """VRFY."""


@dataclass(frozen=True, slots=True)
class Help:
    """HELP."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (RFC 3207)."""


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH mechanism [initial-response] (RFC 4954 §4). `initial` is still base64; None: absent."""

    mechanism: str
    initial: bytes | None

    def __repr__(self) -> str:
        return f"Auth(mechanism={self.mechanism!r})"


Command = Ehlo | Mail | Rcpt | Data | Bdat | Rset | Noop | Quit | Vrfy | Help | StartTls | Auth
