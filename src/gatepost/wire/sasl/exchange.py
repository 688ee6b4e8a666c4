"""Asks, answers and verdicts of one SASL exchange, server and client side (RFC 4422 §3).

A mechanism is a generator: it yields asks, is sent answers, returns a verdict. It reads top to
bottom like the RFC that defines it, and does no I/O: whoever drives it fetches the secrets, and
brings in what is random or timed (`ChannelFacts`).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

Algorithm = Literal["SHA-1", "SHA-256"]


@dataclass(frozen=True, slots=True, repr=False)
class ChannelFacts:
    """What an exchange may know of its channel and of the moment.

    `tls_version` is "TLSv1.3", "" in clear. `exporter` is the channel binding "tls-exporter" (RFC
    9266), `end_point` "tls-server-end-point" (RFC 5929 §4); None: not to be had;
    `former_end_points` are good, too: one of them began a session that is resumed. `offers_plus`:
    the server offered a mechanism with channel binding. `nonce` is printable ASCII without a comma,
    never used before. `hostname` is the server's name, `at` in seconds since 1970.
    """

    tls_version: str = ""
    exporter: bytes | None = None
    end_point: bytes | None = None
    offers_plus: bool = False
    nonce: str = ""
    hostname: str = ""
    at: int = 0
    former_end_points: tuple[bytes, ...] = ()


# -- server side: asks and their answers


@dataclass(frozen=True, slots=True, repr=False)
class Challenge:
    """Ask the client: send these octets, come back with its response."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Ask the credential store: does this password belong to this authcid? Answered by a bool."""

    authcid: str
    password: str

    def __repr__(self) -> str:
        return f"CheckPassword(authcid={self.authcid!r})"


@dataclass(frozen=True, slots=True, repr=False)
class ScramKeys:
    """What is kept of one secret (RFC 5802 §3): enough to check a proof, not to make one."""

    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class ScramOffer:
    """One account's salt and count, which all its secrets share, and the keys of each.

    Unknown names have a salt too, always the same, and no keys, or nobody's (decision 17).
    """

    salt: bytes
    iterations: int
    keys: tuple[ScramKeys, ...] = ()


@dataclass(frozen=True, slots=True)
class FetchScram:
    """Ask the credential store for an authcid's ScramOffer. Always answered."""

    authcid: str
    algorithm: Algorithm


@dataclass(frozen=True, slots=True)
class ReportProof:
    """Tell the credential store which of the offered keys the proof was made with (None: none).

    `what` is why not, in words for the operator. Answered by a bool: whether the login goes on.
    """

    authcid: str
    key: int | None
    what: str = ""


@dataclass(frozen=True, slots=True)
class CheckDigest:
    """Ask the credential store: is this the keyed digest of the challenge (RFC 2195 §2)?

    `digest` is in lower-case hexadecimal. Answered by a bool.
    """

    authcid: str
    challenge: bytes
    digest: str

    def __repr__(self) -> str:
        return f"CheckDigest(authcid={self.authcid!r})"


@dataclass(frozen=True, slots=True)
class CheckToken:
    """Ask who holds this bearer token; `authcid` is who they say they are. Answer: TokenAnswer."""

    authcid: str | None
    token: str

    def __repr__(self) -> str:
        return f"CheckToken(authcid={self.authcid!r})"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """Whose token it is. `error` is the JSON that a refused client is shown (RFC 7628 §3.2.2)."""

    granted: bool
    authcid: str = ""
    error: bytes = b""


@dataclass(frozen=True, slots=True)
class ProveCertificate:
    """Ask whom the client's TLS certificate proves; `authcid` is who they say they are (None:
    nobody in particular). Answered by the account's name, or None.
    """

    authcid: str | None


@dataclass(frozen=True, slots=True)
class Granted:
    """Verdict: this authcid has proven itself. (The authzid was checked: decision 15.)"""

    authcid: str


class Fault(Enum):
    """Why a verdict is no."""

    CREDENTIALS = auto()
    MALFORMED = auto()
    AUTHZID = auto()
    BINDING = auto()


@dataclass(frozen=True, slots=True)
class Denied:
    """Verdict: no. All of these are 535 on the wire (decision 18); the event tells them apart.

    `what` says more, for the operator.
    """

    fault: Fault
    authcid: str = ""
    what: str = ""


#: What the credential store answers.
Check = CheckPassword | FetchScram | ReportProof | CheckDigest | CheckToken | ProveCertificate
Ask = Challenge | Check
Answer = bytes | bool | ScramOffer | TokenAnswer | str | None
Verdict = Granted | Denied
Exchange = Generator[Ask, Answer, Verdict]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What a file in `mechanisms/` exports as its server side.

    `client_first` mechanisms take an initial response (RFC 4422 §5 no. 2a). `binds_channel`: it
    can be offered only where a channel binding can be had. None is used in clear text:
    whoever begins an exchange sees to that.
    """

    name: str
    client_first: bool
    start: Callable[[ChannelFacts], Exchange]
    binds_channel: bool = False


def challenge(octets: bytes) -> Generator[Ask, Answer, bytes]:
    """Ask the client, typed."""
    answer = yield Challenge(octets)
    if not isinstance(answer, bytes):
        raise TypeError(type(answer))
    return answer


def yes_or_no(check: Check) -> Generator[Ask, Answer, bool]:
    """Ask the credential store what is answered by a bool, typed."""
    answer = yield check
    if not isinstance(answer, bool):
        raise TypeError(type(answer))
    return answer


def check_password(authcid: str, password: str) -> Generator[Ask, Answer, bool]:
    """Ask the credential store about a password, typed."""
    return (yield from yes_or_no(CheckPassword(authcid, password)))


def fetch_scram(authcid: str, algorithm: Algorithm) -> Generator[Ask, Answer, ScramOffer]:
    """Ask the credential store for salt, count and keys, typed."""
    answer = yield FetchScram(authcid, algorithm)
    if not isinstance(answer, ScramOffer):
        raise TypeError(type(answer))
    return answer


def check_token(authcid: str | None, token: str) -> Generator[Ask, Answer, TokenAnswer]:
    """Ask whose token it is, typed."""
    answer = yield CheckToken(authcid, token)
    if not isinstance(answer, TokenAnswer):
        raise TypeError(type(answer))
    return answer


# -- client side


class Needs(Enum):
    """What a client must have for a mechanism."""

    PASSWORD = auto()
    TOKEN = auto()
    CERTIFICATE = auto()


@dataclass(frozen=True, slots=True, repr=False)
class ClientCredentials:
    """Ours, at somebody else's server: a name, and a password or a bearer token.

    `port` is the one we connected to (RFC 7628 §3.1).
    """

    authcid: str
    password: str = ""
    token: str = ""
    port: int = 0


#: Yields responses, is sent challenges, is sent b"" when the server says that we are in.
#: Returns True where the server has proven itself too. The first yield is the initial response,
#: None where the server begins. Returning early means: give up.
ClientExchange = Generator[bytes | None, bytes, bool]


@dataclass(frozen=True, slots=True)
class ClientMechanism:
    """What a file in `mechanisms/` exports as its client side.

    The higher `strength`, the better; `proves_server`: success without the server's proof is none.
    `binds_channel`: only where a channel binding can be had.
    """

    name: str
    strength: int
    needs: Needs
    respond: Callable[[ClientCredentials, ChannelFacts], ClientExchange]
    proves_server: bool = False
    binds_channel: bool = False
