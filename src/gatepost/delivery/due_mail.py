"""Due mail comes out of the store into a worker's hands (decision 5): when a neighbour wrote, when something
falls due, when there is room again, and now and then anyway.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gatepost.delivery.lasting import pause
from gatepost.delivery.lease_fairly import FairLease, Wanted
from gatepost.delivery.scheduler_parts import Parts
from gatepost.delivery.shares import Shares
from gatepost.model.delivery import Leased
from gatepost.model.lane import LANES, Lane
from gatepost.queue.lanes import has_room, room_for
from gatepost.store.leases import Lease
from gatepost.store.protocols import StoreUnavailableError

_log = logging.getLogger(__name__)

#: Seconds until due mail is looked for again after a fault of ours.
_FAULT_PAUSE = 2.0


class Hands(Protocol):
    """Who takes it."""

    @property
    def held(self) -> int:
        """How many deliveries are in hand."""
        ...

    def own_lease(self) -> Lease:
        """Return what to lease with."""
        ...

    def take(self, leased: Sequence[Leased], pieces: Sequence[bytes] | None) -> None:
        """Take what was leased."""
        ...

    async def give_back_untaken(self, leased: Sequence[Leased]) -> None:
        """Give back what was leased for hands that have closed meanwhile."""
        ...


class DueMail:
    """Looks for due mail until the worker is stopping."""

    def __init__(self, parts: Parts, shares: Shares, hands: Hands, stopping: asyncio.Event) -> None:
        self._store = parts.store
        self._sources = parts.sources
        self._settler = parts.settler
        self._bounds = parts.bounds
        self._now = parts.now
        self._leapt_within = parts.leapt_within
        self._may_take_over = parts.may_take_over
        self._hands = hands
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()
        self._fair_lease = FairLease(shares)
        self._wake = asyncio.Event()
        #: What is taken from the store fills so much of the hands.
        self._for_due = parts.bounds.held - parts.bounds.held // 8
        #: Of these lanes there may be due mail that there was no room for.
        self._missed = set(LANES)
        self._due_at: datetime | None = None

    def look(self) -> None:
        """Look at once, in all lanes."""
        self._missed.update(LANES)
        self._wake.set()

    def by(self, at: datetime) -> None:
        """Look at a time: something waits until then."""
        if self._due_at is None or at < self._due_at:
            self._due_at = at

    def miss(self, lane: Lane) -> None:
        """Note that there was no room for mail of a lane, which waits in the store now."""
        self._missed.add(lane)

    def room_again(self) -> None:
        """Look at once where there is room for what there was none for."""
        if self._misses():
            self._wake.set()

    def wake(self) -> None:
        """See at once whether the worker is stopping."""
        self._wake.set()

    def _misses(self) -> bool:
        return any(has_room(lane, self._for_due, self._hands.held) for lane in self._missed)

    async def watch(self) -> None:
        """Take due mail from the store, when a neighbour wrote or something falls due."""
        version: int | None = None
        anyway_at = 0.0
        while not self._stopping.is_set():
            try:
                seen = await self._store.data_version()
                anyway = self._loop.time() >= anyway_at
                due = self._due_at is not None and self._due_at <= self._now()
                calls = seen != version or anyway or due or self._misses()
                if calls and self._hands.held < self._for_due:
                    if anyway:
                        anyway_at = self._loop.time() + self._bounds.look_anyway
                    await self._take_due(anyway=anyway)
                    version = seen
            except StoreUnavailableError as trouble:
                _log.warning("cannot look for due mail: %s", trouble)
            except Exception:  # noqa: BLE001 - the top of a task: what is in hand goes on
                _log.exception("cannot look for due mail: a fault of ours")
                await pause(_FAULT_PAUSE, self._stopping)
            await self._pause()

    async def _take_due(self, *, anyway: bool) -> None:
        room = room_for(self._for_due, self._hands.held)
        lanes = [lane for lane in LANES if room[lane]]
        self._missed = {lane for lane in LANES if not room[lane]}
        pools = self._sources.pools
        self._due_at = await self._store.read(lambda store: store.next_due_at(lanes, pools))
        now = self._now()
        if not anyway and (self._due_at is None or self._due_at > now):
            return
        limit = min(room[Lane.OTP], self._bounds.take_at_once)
        lease = self._hands.own_lease()
        if self._stopping.is_set():
            return
        wanted = Wanted(now, lease, limit, room, self._takes_over())
        taken = await self._fair_lease.lease(self._store, wanted)
        leased = taken.leased
        if self._stopping.is_set():
            # `stop` has emptied our hands meanwhile, and the store closes when we have ended.
            if leased:
                await self._hands.give_back_untaken(leased)
            return
        # Before the store is asked again: it may be away, and they are ours.
        self._hands.take(leased, None)
        if taken.more:
            self._missed.update(LANES)
            self._wake.set()
        elif leased:
            self._due_at = await self._store.read(lambda store: store.next_due_at(lanes, pools))

    def _takes_over(self) -> bool:
        """Tell whether leases that have ended are taken. By a time that leapt, those of neighbours at
        work look ended until they have renewed them; when the store was away, what is known to be
        delivered has yet to be written, by us or by them.
        """
        if self._leapt_within(self._bounds.lease) or self._settler.is_kept_waiting:
            return False
        return self._may_take_over()

    async def _pause(self) -> None:
        """Wait a little, less if something calls."""
        try:
            async with asyncio.timeout(self._bounds.look):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
