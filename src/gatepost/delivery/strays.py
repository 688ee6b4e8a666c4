"""Mail of pools that no node serves: nobody leases it, and still it is looked after."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from gatepost.egress.served import served_anywhere
from gatepost.model.delivery import Leased
from gatepost.model.ids import DeliveryId, WorkerId
from gatepost.queue.presence import heard
from gatepost.returns.outcome import NO_ROUTE_NOW, deferred
from gatepost.returns.settle import Settler
from gatepost.returns.settlement import Result
from gatepost.store.leases import Lease
from gatepost.store.protocols import Reading, Store, Transaction

#: So many are looked after at once, and with such a lease.
_AT_ONCE = 500
_LEASE = timedelta(minutes=2)
#: Their senders hear no more than this: names of pools, and why an address is paused, are the operator's.
_NOWHERE = deferred(NO_ROUTE_NOW, "none of our source addresses may be used for it now")


@dataclass(frozen=True, slots=True)
class Strays:
    """Looks after mail of pools that no node serves: nobody leases it, and still its sender hears
    that it is late, and it expires in time. One worker of a node does it.
    """

    store: Store
    worker: WorkerId
    settler: Settler
    #: After so long the sender hears (`[retry] warn`).
    warn: timedelta
    now: Callable[[], datetime]

    async def look(self) -> None:
        """Look after all of it, in portions; others have their turn between. Raises
        StoreUnavailableError.
        """
        loop = asyncio.get_running_loop()
        more = True
        while more:
            begun = loop.time()
            more = await self._look()
            if more:
                await self.settler.flush()  # else the same would be found again
                await asyncio.sleep(loop.time() - begun)

    async def _look(self) -> bool:
        """Look after a portion of each pool; True where there may be more."""
        now = self.now()
        found = await self.store.read(lambda reading: _strays(reading, now, now - self.warn))
        lease = Lease(self.worker, now + _LEASE)
        more = False
        for ids in found:
            leased = await self.store.write(partial(_lease, ids, lease))
            for one in leased:
                self.settler.settle(Result(one, _NOWHERE, attempted=False))
            more = more or (len(ids) == _AT_ONCE and bool(leased))
        return more


def _lease(ids: Sequence[DeliveryId], lease: Lease, transaction: Transaction) -> list[Leased]:
    return transaction.lease_these(ids, lease)


def _strays(
    reading: Reading, now: datetime, received_before: datetime
) -> list[Sequence[DeliveryId]]:
    waiting = reading.waiting_pools()
    if not waiting:
        return []
    alive, pauses = heard(reading.presences(), reading.time()), reading.pauses()
    there = served_anywhere(alive, pauses)
    found: list[Sequence[DeliveryId]] = []
    for pool in waiting:
        if pool not in there:
            ids = reading.strays(pool, now, received_before=received_before, limit=_AT_ONCE)
            if ids:
                found.append(ids)
    return found
