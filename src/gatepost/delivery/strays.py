"""Mail of pools that no node serves: nobody leases it, and still it is looked after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from gatepost.egress.served import served_anywhere, why_nowhere
from gatepost.model.delivery import Leased
from gatepost.model.ids import DeliveryId, WorkerId
from gatepost.queue.presence import heard
from gatepost.returns.outcome import NO_ROUTE_NOW, deferred
from gatepost.returns.settle import Settler
from gatepost.returns.settlement import Result
from gatepost.store.protocols import Lease, Reading, Store, Transaction

#: So many are looked after at once, and with such a lease.
_AT_ONCE = 500
_LEASE = timedelta(minutes=2)


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
        """Look once. Raises StoreUnavailableError."""
        now = self.now()
        found = await self.store.read(lambda reading: _strays(reading, now, now - self.warn))
        lease = Lease(self.worker, now + _LEASE)
        for pool in found:
            outcome = deferred(NO_ROUTE_NOW, pool.why)
            for one in await self.store.write(partial(_lease, pool.ids, lease)):
                self.settler.settle(Result(one, outcome, attempted=False))


@dataclass(frozen=True, slots=True)
class _Stray:
    ids: Sequence[DeliveryId]
    why: str


def _lease(ids: Sequence[DeliveryId], lease: Lease, transaction: Transaction) -> list[Leased]:
    return transaction.lease_these(ids, lease)


def _strays(reading: Reading, now: datetime, received_before: datetime) -> list[_Stray]:
    waiting = reading.waiting_pools()
    if not waiting:
        return []
    alive, pauses = heard(reading.presences(), reading.time()), reading.pauses()
    there = served_anywhere(alive, pauses)
    found = []
    for pool in waiting:
        if pool not in there:
            ids = reading.strays(pool, now, received_before=received_before, limit=_AT_ONCE)
            if ids:
                found.append(_Stray(ids, why_nowhere(pool, alive, pauses)))
    return found
