"""What EHLO says, from both sides (RFC 5321 §4.1.1.1)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from itertools import islice
from typing import Final

#: EHLO keywords that `Profile.extensions` may hold: RFC 3461, 4865, 9422, 6710.
DSN: Final = "DSN"
FUTURERELEASE: Final = "FUTURERELEASE"
LIMITS: Final = "LIMITS"
MT_PRIORITY: Final = "MT-PRIORITY"
#: Of mechanisms: characters of a name (RFC 4422 §3.1), and how many a server may offer us.
_LONGEST_MECHANISM: Final = 20
_MOST_MECHANISMS: Final = 50


class Channel(Enum):
    """Whether the octets travel in clear or inside TLS."""

    CLEAR = auto()
    TLS = auto()


@dataclass(frozen=True, slots=True)
class Profile:
    """What one listener offers.

    `mechanisms` is empty where AUTH does not exist (the mx role), and holds more than some sessions
    are offered (`ServerSession.mechanisms`); `offers_tls` is False where no
    certificate is at hand or TLS came first. `message_size` in octets. `extensions` are the
    keywords of what not every listener offers, with what EHLO says behind each ("" for nothing),
    or what returns that, where it changes with the time.
    """

    hostname: str
    message_size: int
    mechanisms: tuple[str, ...] = ()
    offers_tls: bool = True
    greeting: str = "Gatepost ESMTP"
    extensions: Mapping[str, str | Callable[[], str]] = field(default_factory=dict)


def keywords(
    profile: Profile, channel: Channel, *, authenticated: bool, mechanisms: Sequence[str]
) -> str:
    """Return the EHLO reply's lines: the host's name, then one keyword a line.

    AUTH with `mechanisms` only inside TLS and only until it has succeeded; STARTTLS only in clear
    (RFC 3207 §4.2).
    """
    says = tuple(
        [
            f"{keyword} {says if isinstance(says, str) else says()}".rstrip()
            for keyword, says in profile.extensions.items()
        ]
    )
    more = []
    if channel is Channel.CLEAR and profile.offers_tls:
        more.append("STARTTLS")
    if channel is Channel.TLS and mechanisms and not authenticated:
        more.append(f"AUTH {' '.join(mechanisms)}")
    return _lines(profile.hostname, profile.message_size, says, tuple(more))


@lru_cache(maxsize=64)
def _lines(hostname: str, message_size: int, says: tuple[str, ...], more: tuple[str, ...]) -> str:
    """Put the lines together; thousands of sessions hear the same."""
    lines = (
        f"{hostname} Hello",
        "PIPELINING",
        f"SIZE {message_size}",
        "8BITMIME",
        "CHUNKING",
        "BINARYMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        *says,
        "HELP",
        *more,
    )
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes at most (RFC 9422), None where it does not say: messages in one session,
    recipients of one message, domains among these.
    """

    messages: int | None = None
    recipients: int | None = None
    domains: int | None = None


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Offers:
    """What a server's EHLO reply offered us. `size` 0: no limit said, None: no SIZE. `binary` is
    BINARYMIME with the CHUNKING that it needs (RFC 3030 §3).
    """

    pipelining: bool = False
    starttls: bool = False
    eight_bit: bool = False
    size: int | None = None
    mechanisms: tuple[str, ...] = ()
    binary: bool = False
    utf8: bool = False
    limits: Limits = NO_LIMITS
    dsn: bool = False
    mt_priority: bool = False


def read_offers(lines: Iterable[str]) -> Offers:
    """Read the keyword lines of an EHLO reply (without the first, which names the host).

    "AUTH=LOGIN PLAIN" of old servers counts as AUTH.
    """
    words: dict[str, list[str]] = {}
    for line in lines:
        keyword, *parameters = line.replace("AUTH=", "AUTH ", 1).upper().split() or [""]
        words.setdefault(keyword, []).extend(parameters)
    size = words.get("SIZE")
    return Offers(
        pipelining="PIPELINING" in words,
        starttls="STARTTLS" in words,
        eight_bit="8BITMIME" in words,
        size=None if size is None else _number(size),
        mechanisms=_mechanisms(words.get("AUTH", ())),
        binary="BINARYMIME" in words and "CHUNKING" in words,
        utf8="SMTPUTF8" in words,
        limits=_limits(words["LIMITS"]) if "LIMITS" in words else NO_LIMITS,
        dsn="DSN" in words,
        mt_priority="MT-PRIORITY" in words,
    )


def _mechanisms(parameters: Iterable[str]) -> tuple[str, ...]:
    """Return what AUTH names, without what can be no name (RFC 4422 §3.1): a list of everything that
    fits into a reply would be kept for as long as the connection is.
    """
    names = (name for name in parameters if len(name) <= _LONGEST_MECHANISM)
    return tuple(islice(dict.fromkeys(names), _MOST_MECHANISMS))


def _limits(parameters: Iterable[str]) -> Limits:
    """Read what LIMITS says (RFC 9422); what is no number above 0 limits nothing."""
    said: dict[str, int] = {}
    for parameter in parameters:
        name, _, digits = parameter.partition("=")
        if digits.isascii() and digits.isdigit() and len(digits) <= 6 and int(digits):
            said.setdefault(name, int(digits))
    return Limits(said.get("MAILMAX"), said.get("RCPTMAX"), said.get("RCPTDOMAINMAX"))


def _number(parameters: list[str]) -> int:
    """Return what SIZE says (RFC 1870 §3: at most 20 digits), 0 where that is no number.

    isdigit() alone is true of digits that int() does not take.
    """
    digits = parameters[0] if parameters else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else 0
