"""Addresses whose STARTTLS did not work: they get clear text for a while, and are then tried again.

Opportunistic TLS (RFC 7435) prefers clear text to no delivery, and one broken handshake may be chance,
or somebody on the way who wants clear text. Per worker; only in memory. Times in seconds of one clock
that is never set.
"""

from dataclasses import dataclass
from typing import Final

from gatepost.delivery.bounds import Bounds
from gatepost.net.address import SocketAddress

#: So many are remembered; those that broke first are forgotten first.
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Clear:
    until: float
    length: float


class BrokenTls:
    """Of all sites, each for itself: else who names another's host in his MX, by a name that it does not
    know, could take TLS from mail of others.
    """

    __slots__ = ("_bounds", "_clear")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._clear: dict[tuple[str, SocketAddress], _Clear] = {}

    def gets_clear(self, site: str, address: SocketAddress, at: float) -> bool:
        """Tell whether TLS is not tried with an address of a site (its key) now."""
        clear = self._clear.get((site, address))
        return clear is not None and at < clear.until

    def note(self, site: str, address: SocketAddress, at: float) -> float | None:
        """Take note of a broken handshake. Return for how long the address gets clear text, twice as
        long each time, where the last one was not long ago; None where another connection has just
        told the same.
        """
        former = self._clear.get((site, address))
        if former is not None and at < former.until:
            return None
        longest, length = self._bounds.longest_clear, self._bounds.clear
        if former is not None and at < former.until + longest:
            length = min(2 * former.length, longest)
        self._clear.pop((site, address), None)
        if len(self._clear) >= _MOST:
            del self._clear[next(iter(self._clear))]
        self._clear[site, address] = _Clear(at + length, length)
        return length

    def works(self, site: str, address: SocketAddress) -> None:
        """Take note that TLS works with an address."""
        self._clear.pop((site, address), None)
