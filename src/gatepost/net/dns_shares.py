"""Who may have how many questions to the DNS on their way.

Strangers choose what is asked about their mail, and name servers of theirs may never answer. So each
network has a share of the room for questions; what it asks beyond waits, and beyond that fails.
"""

import asyncio
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from gatepost.net.address import network_of

if TYPE_CHECKING:
    from gatepost.net.resolver import Resolver

#: Questions of one network on their way at once (of 128 of all), and how many more may wait.
_AT_ONCE: Final = 16
_WAITING: Final = 256


class Share:
    """The room of one network."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def enter(self) -> bool:
        """Wait for room; False where too many wait already. Then `leave` must follow."""
        if self._waiting >= _WAITING:
            return False
        self._waiting += 1
        try:
            await self._gate.acquire()
        finally:
            self._waiting -= 1
        return True

    def leave(self) -> None:
        """Make room."""
        self._gate.release()


class OnBehalf:
    """A resolver that answers for one network, within its share."""

    def __init__(self, resolver: "Resolver", share: Share) -> None:
        self._resolver = resolver
        self._share = share

    async def records(self, name: str, kind: str) -> tuple[str, ...]:
        """Return what `Resolver.records` does, and raise what that raises."""
        return await self._resolver.records(name, kind, self._share)


class Shares:
    """The shares of all networks; one lives for as long as somebody uses it."""

    def __init__(self, resolver: "Resolver") -> None:
        self._resolver = resolver
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()

    def on_behalf_of(self, address: str) -> OnBehalf:
        """Return who answers for a client's address: its /24 or /48 has one share."""
        network = network_of(address)
        share = self._shares.get(network)
        if share is None:
            share = self._shares[network] = Share()
        return OnBehalf(self._resolver, share)
