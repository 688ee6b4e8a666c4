"""Who may have how many questions to the DNS on their way.

Strangers choose what is asked about their mail, and accounts what about theirs; name servers of theirs
may never answer. So each has no more questions on their way than four times what is still free of the
room for all (alone four fifths: Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998), and what is
asked beyond waits in a line of its own; the lines take turns. A stranger's network has 16 at most, and
what it asks beyond 256 that wait fails. Names that failed lately have 32 together, shared by the same rule:
whose names never answer holds up nobody else's that did not once.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from gatepost.net.address import network_of

if TYPE_CHECKING:
    from gatepost.net.resolver import Resolver

#: Questions on their way at once: each holds a socket.
_AT_ONCE: Final = 128
#: Anybody may have so many times what is free.
_TIMES: Final = 4
#: Questions of one network on their way at once, and how many more may wait.
_OF_NETWORK: Final = 16
_WAITING: Final = 256
#: Questions for names that failed lately on their way at once.
_OF_FAILED: Final = 32


class _Among:
    """How many questions of a kind are on their way, whoever asks."""

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class Share:
    """What one party has of the room: `held` on their way of `most`, and a line of up to `waiting`;
    `among` all of a kind, which have less room together.
    """

    __slots__ = ("__weakref__", "among", "failed", "held", "line", "most", "waiting")

    def __init__(
        self, most: int = _AT_ONCE, waiting: int | None = None, among: _Among | None = None
    ) -> None:
        self.most = most
        self.waiting = waiting
        self.among = among
        self.held = 0
        self.line: deque[asyncio.Future[None]] = deque()
        #: Of the same party, for names that failed lately (`Slots.for_failed`).
        self.failed: Share | None = None


class Slots:
    """The room for questions, of which each has a share."""

    def __init__(self) -> None:
        self._free = _AT_ONCE
        self._waiting: dict[Share, None] = {}
        #: For who has none of his own.
        self.own = Share()
        self._failed = _Among(_OF_FAILED)

    def for_failed(self, share: Share) -> Share:
        """Return a party's share for names that failed lately; it lives as long as the party's."""
        if share.failed is None:
            share.failed = Share(among=self._failed)
        return share.failed

    async def enter(self, share: Share) -> bool:
        """Wait for room; False where too many wait already. Then `leave` must follow."""
        if not share.line and self._has_some(share):
            self._take(share)
            return True
        if share.waiting is not None and len(share.line) >= share.waiting:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        share.line.append(turn)
        self._waiting[share] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(share)  # the turn came as nobody waited for it any more
            raise
        return True

    def leave(self, share: Share) -> None:
        """Make room for who waits."""
        share.held -= 1
        self._free += 1
        if share.among is not None:
            share.among.held -= 1
        while (called := self._call()) is not None:
            self._take(called)
            called.line.popleft().set_result(None)

    def _has_some(self, share: Share) -> bool:
        most = min(share.most, _TIMES * self._free)
        if share.among is not None:
            most = min(most, _TIMES * (share.among.most - share.among.held))
        return share.held < most

    def _take(self, share: Share) -> None:
        share.held += 1
        self._free -= 1
        if share.among is not None:
            share.among.held += 1

    def _call(self) -> Share | None:
        """Return the next for whom there is room, and put it behind the others."""
        for share in list(self._waiting):
            while share.line and share.line[0].done():
                share.line.popleft()  # nobody waits any more
            if not share.line:
                del self._waiting[share]
            elif self._has_some(share):
                del self._waiting[share]
                self._waiting[share] = None
                return share
        return None


class Parties:
    """The shares of all parties of a kind; one lives for as long as somebody uses it."""

    def __init__(self, most: int = _AT_ONCE, waiting: int | None = None) -> None:
        self._most = most
        self._waiting = waiting
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()

    def share_of(self, name: str) -> Share:
        """Return the share of one."""
        share = self._shares.get(name)
        if share is None:
            share = self._shares[name] = Share(self._most, self._waiting)
        return share


class OnBehalf:
    """A resolver that answers for one network, within its share."""

    def __init__(self, resolver: "Resolver", share: Share) -> None:
        self._resolver = resolver
        self._share = share

    async def records(self, name: str, kind: str) -> tuple[str, ...]:
        """Return what `Resolver.records` does, and raise what that raises."""
        return await self._resolver.records(name, kind, self._share)


class Shares:
    """The shares of all networks."""

    def __init__(self, resolver: "Resolver") -> None:
        self._resolver = resolver
        self._networks = Parties(_OF_NETWORK, _WAITING)

    def on_behalf_of(self, address: str) -> OnBehalf:
        """Return who answers for a client's address: its /24 or /48 has one share."""
        return OnBehalf(self._resolver, self._networks.share_of(network_of(address)))
