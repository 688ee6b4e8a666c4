"""Addresses whose STARTTLS did not work: they get clear text for a while, and are then tried again.

Opportunistic TLS (RFC 7435) prefers clear text to no delivery, and one broken handshake may be chance,
or somebody on the way who wants clear text. Times in seconds of one clock that is never set.
"""

from dataclasses import dataclass

from gatepost.delivery.bounds import Bounds
from gatepost.net.address import SocketAddress


@dataclass(frozen=True, slots=True)
class _Clear:
    until: float
    length: float


class BrokenTls:
    """Of one site."""

    __slots__ = ("_bounds", "_clear")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._clear: dict[SocketAddress, _Clear] = {}

    def gets_clear(self, address: SocketAddress, at: float) -> bool:
        """Tell whether TLS is not tried with an address now."""
        clear = self._clear.get(address)
        return clear is not None and at < clear.until

    def note(self, address: SocketAddress, at: float) -> float | None:
        """Take note of a broken handshake. Return for how long the address gets clear text, twice as
        long each time; None where another connection has just told the same.
        """
        former = self._clear.get(address)
        if former is not None and at < former.until:
            return None
        bounds = self._bounds
        length = bounds.clear if former is None else min(2 * former.length, bounds.longest_clear)
        self._clear[address] = _Clear(at + length, length)
        return length

    def works(self, address: SocketAddress) -> None:
        """Take note that TLS works with an address."""
        self._clear.pop(address, None)
