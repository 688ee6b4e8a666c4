"""What a probe sees of a server: values only. The findings are drawn from them, and from nothing else.

Times are seconds: `began` since the probe began, `took` for the step alone.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from gatepost.wire.smtp.reply_reader import ServerReply

#: RFC 6409 §3.1, RFC 8314 §7.3, RFC 5321 §4.5.4.2.
SUBMISSION: Final = 587
SUBMISSIONS: Final = 465
RELAY: Final = 25
#: What is tried where no port is named.
ALL_PORTS: Final = (SUBMISSION, SUBMISSIONS, RELAY)


class Stage(StrEnum):
    """A step of the dialogue, as the timeline names it."""

    DNS = "dns"
    CONNECT = "connect"
    GREETING = "greeting"
    HELLO = "hello"
    STARTTLS = "starttls"
    HANDSHAKE = "handshake"
    LOGIN = "login"
    MAIL = "mail"
    RCPT = "rcpt"
    RESET = "reset"
    QUIT = "quit"


class Mark(StrEnum):
    """How a step went."""

    FINE = "fine"
    NOTE = "note"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. `words` tell the result, `lines` the dialogue ("C: …", "S: …")."""

    stage: Stage
    began: float
    took: float
    mark: Mark
    words: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreached:
    """An address with which there was no connection, and why."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class CertificateSeen:
    """What a server's certificate says. `names` are its subjectAltNames: DNS names, IP addresses.

    `signature` is the hash it is signed with ("sha256", "" where there is none of its own).
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    starts_at: datetime
    expires_at: datetime
    key_kind: str
    key_bits: int
    signature: str
    self_signed: bool


@dataclass(frozen=True, slots=True)
class TlsSeen:
    """What TLS came to. `distrust` is why it was not accepted, in OpenSSL's words; "": it was;
    of an `outdated` one, why the handshake was not.

    `outdated`: agreed upon only after we allowed what is obsolete (old versions, small keys).
    """

    version: str
    cipher: str
    bits: int
    certificate: CertificateSeen | None
    distrust: str = ""
    outdated: bool = False


class Withheld(StrEnum):
    """Why a login that was wanted was not tried."""

    CLEAR = "no TLS: the secret would travel in clear"
    DISTRUST = "the certificate is not good: the secret might go to a stranger"
    NOT_OFFERED = "no AUTH is offered"
    NO_MECHANISM = "no mechanism in common"


@dataclass(frozen=True, slots=True)
class LoginSeen:
    """What became of a login: a reply, or why there is none.

    `unproven`: the server accepted, and did not prove that it knows the secret, as it must.
    `words`: what was said beside the reply, by the server or by us.
    """

    mechanism: str = ""
    reply: ServerReply | None = None
    withheld: Withheld | None = None
    unproven: bool = False
    words: str = ""

    @property
    def accepted(self) -> bool:
        """Whether we are in."""
        return self.reply is not None and self.reply.code // 100 == 2 and not self.unproven


@dataclass(frozen=True, slots=True)
class RehearsalSeen:
    """What MAIL and RCPT were answered; None: it did not come so far."""

    mail: ServerReply | None = None
    rcpt: ServerReply | None = None


class Breach(StrEnum):
    """How a dialogue broke off."""

    LATE = "no reply in time"
    LOST = "connection lost"
    GARBAGE = "not SMTP"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a dialogue broke off, and how; `reply` is there for REFUSED only."""

    stage: Stage
    breach: Breach
    reply: ServerReply | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class PortSeen:
    """What was seen of one port.

    `address` is "" where there was no connection. `implicit`: TLS came before the greeting;
    `strange` the first octets of what was no SMTP; `hello` and `hello_tls` the keyword lines of
    EHLO in clear and inside TLS (None: not reached); `hello_only`: HELO was needed.
    `tls_trouble` is why TLS failed altogether.
    """

    port: int
    unreached: tuple[Unreached, ...] = ()
    address: str = ""
    is_loopback: bool = False
    implicit: bool = False
    greeting: ServerReply | None = None
    greeting_took: float = 0.0
    strange: bytes = b""
    hello: tuple[str, ...] | None = None
    hello_tls: tuple[str, ...] | None = None
    mechanisms: tuple[str, ...] = ()
    starttls: ServerReply | None = None
    tls: TlsSeen | None = None
    tls_trouble: str = ""
    login: LoginSeen | None = None
    rehearsal: RehearsalSeen | None = None
    broken: Broken | None = None
    steps: tuple[Step, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether there was a connection."""
        return bool(self.address)

    @property
    def is_trusted(self) -> bool:
        """Whether a secret may go there: TLS of today, with a certificate that was accepted."""
        return self.tls is not None and not (self.tls.distrust or self.tls.outdated)


@dataclass(frozen=True, slots=True)
class NamesSeen:
    """What DNS says of the host. `trouble`: why there are no addresses; "" where it has none."""

    addresses: tuple[str, ...] = ()
    exists: bool = True
    trouble: str = ""
    exchangers: tuple[str, ...] = ()
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, as far as findings need to know; no secret."""

    host: str
    port: int | None = None
    username: str = ""
    mechanism: str = ""
    password_has_space: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a probe saw."""

    wanted: Wanted
    names: NamesSeen
    ports: tuple[PortSeen, ...] = field(default=())
    took: float = 0.0
