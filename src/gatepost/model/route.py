"""Where a delivery goes next: what `via` and `deliver_to` may say, as values."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gatepost.model.secret import Secret


class TlsMode(StrEnum):
    """How a next hop is to be spoken to."""

    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    NEVER = "never"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """A command line that prints a bearer token."""

    line: str


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """Where a refresh token is traded for access tokens (RFC 6749 §6), and as whom.

    The file holds the refresh token, and is written anew when the endpoint hands out another one.
    `client_secret` None: a public client. `scope` "": what was granted at first.
    """

    endpoint: str
    client_id: str
    client_secret: Secret | None
    refresh_token_file: Path
    scope: str = ""


#: What a bearer token comes from.
TokenSource = TokenCommand | RefreshGrant


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What we show of ourselves in a TLS handshake, PEM: a chain, our own certificate first, and
    its key.
    """

    chain: str
    key: Secret


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """Credentials of ours at somebody else's server: a password, or where a bearer token comes
    from, or neither, where a certificate says it (EXTERNAL).
    """

    username: str
    password: Secret
    mechanism: str | None = None
    token: TokenSource | None = None
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class ViaMx:
    """The recipient domain's own MX hosts (RFC 5321 §5.1), called from a pool's source addresses
    ("": from those of the account's)."""

    tls: TlsMode = TlsMode.OPPORTUNISTIC
    pool: str = ""


@dataclass(frozen=True, slots=True)
class ViaSmtp:
    """One given host: a smart host or an internal server. No MX look-up (decision 25)."""

    host: str
    port: int
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    login: UpstreamLogin | None = None
    pool: str = ""


@dataclass(frozen=True, slots=True)
class ViaLmtp:
    """A local delivery agent (RFC 2033)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ViaMaildir:
    """A folder of maildirs, one per mailbox: DIRECTORY/MAILBOX/{tmp,new,cur}."""

    directory: str


@dataclass(frozen=True, slots=True)
class ViaCapture:
    """Keep it for looking at; nothing leaves the machine."""


@dataclass(frozen=True, slots=True)
class ViaDiscard:
    """Accept and drop."""


@dataclass(frozen=True, slots=True)
class ViaHold:
    """Accept and keep held."""


Via = ViaMx | ViaSmtp | ViaLmtp | ViaMaildir | ViaCapture | ViaDiscard | ViaHold
