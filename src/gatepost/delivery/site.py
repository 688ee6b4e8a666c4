"""A site: the hosts that take mail for one destination, or for many (RFC 5321 §5.1).

Deliveries to one site share its connections. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby
from random import Random

from gatepost.model.route import TlsMode, UpstreamLogin
from gatepost.net.address import SocketAddress
from gatepost.net.dialer import happy_order
from gatepost.wire.values import value


class Kind(Enum):
    """How a site is served."""

    SMTP = auto()
    LMTP = auto()
    MAILDIR = auto()


@dataclass(frozen=True, slots=True)
class Host:
    """One host with its IP addresses, as DNS or the settings give them."""

    name: str
    preference: int
    addresses: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Site:
    """Where to, and how. `key` is the same for destinations that share connections. `is_found`: DNS
    names its hosts, not the settings.
    """

    key: str
    kind: Kind
    hosts: tuple[Host, ...] = ()
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    login: UpstreamLogin | None = None
    directory: str = ""
    is_found: bool = False


@value(frozen=True, slots=True)
class Target:
    """One address to dial, and the name that its certificate should have."""

    name: str
    address: SocketAddress


def targets(hosts: Iterable[Host], chance: Random, limit: int) -> tuple[Target, ...]:
    """Return whom to dial, in order.

    The lowest preference first, equal ones shuffled (RFC 5321 §5.1); each host's address families
    take turns. Every host gets a first address before `limit` cuts.
    """
    found: list[Target] = []
    seen: set[SocketAddress] = set()
    ordered = sorted(hosts, key=lambda h: h.preference)
    for _, group in groupby(ordered, key=lambda h: h.preference):
        equal = list(group)
        chance.shuffle(equal)
        for host in equal:
            for ip in happy_order(host.addresses):
                address = SocketAddress(ip, host.port)
                if address not in seen:
                    seen.add(address)
                    found.append(Target(host.name, address))
    if len(found) <= limit:
        return tuple(found)
    first = {t.name: t for t in reversed(found)}.values()
    rest = [t for t in found if t not in first]
    kept = {*(list(reversed(first))[:limit]), *rest[: max(0, limit - len(first))]}
    return tuple(t for t in found if t in kept)


def in_order(hosts: Iterable[Host]) -> str:
    """Return what tells hosts from others, and from the same in another order: whoever names a
    provider's hosts in his MX does not choose for others which of them is called first.
    """
    named: dict[int, set[str]] = {}
    for host in hosts:
        named.setdefault(host.preference, set()).add(host.name)
    return ";".join(",".join(sorted(names)) for _, names in sorted(named.items()))


def without_us(hosts: Iterable[Host], is_us: Iterable[bool]) -> tuple[Host, ...]:
    """Drop ourselves and all that are not better than we are (RFC 5321 §5.1): no loops.

    An empty answer means that we are the best host, though the domain is none of ours.
    """
    pairs = list(zip(hosts, is_us, strict=True))
    ours = min((h.preference for h, us in pairs if us), default=None)
    if ours is None:
        return tuple(h for h, _ in pairs)
    return tuple(h for h, _ in pairs if h.preference < ours)
