"""Asks, answers and verdicts of one SASL exchange, server side (RFC 4422 §3).

A mechanism is a generator: it yields asks, is sent answers, returns a verdict. It reads top to
bottom like the RFC that defines it, and does no I/O: whoever drives it fetches the secrets.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto


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


@dataclass(frozen=True, slots=True)
class Granted:
    """Verdict: this authcid has proven itself. (The authzid was checked: decision 15.)"""

    authcid: str


class Fault(Enum):
    """Why a verdict is no."""

    CREDENTIALS = auto()
    MALFORMED = auto()
    AUTHZID = auto()


@dataclass(frozen=True, slots=True)
class Denied:
    """Verdict: no. All of these are 535 on the wire (decision 18); the event tells them apart."""

    fault: Fault
    authcid: str = ""


Ask = Challenge | CheckPassword
Answer = bytes | bool
Verdict = Granted | Denied
Exchange = Generator[Ask, Answer, Verdict]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What a file in `mechanisms/` exports as MECHANISM.

    `client_first` mechanisms take an initial response (RFC 4422 §5 no. 2a).
    """

    name: str
    needs_tls: bool
    client_first: bool
    start: Callable[[], Exchange]


def challenge(octets: bytes) -> Generator[Ask, Answer, bytes]:
    """Ask the client, typed."""
    answer = yield Challenge(octets)
    if not isinstance(answer, bytes):
        raise TypeError(answer)
    return answer


def check_password(authcid: str, password: str) -> Generator[Ask, Answer, bool]:
    """Ask the credential store, typed."""
    answer = yield CheckPassword(authcid, password)
    if not isinstance(answer, bool):
        raise TypeError(answer)
    return answer
