"""Room 5: what is due comes into this worker's hands, goes on its way, and is never forgotten.

New mail is handed over by the worker that accepted it (`lease`, `take`); all other mail is leased
from the store when it falls due (decision 5). What is held is bounded, leases are renewed while
they are needed, and what cannot be sent before the worker stops is given back.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from gatepost.delivery.due_mail import DueMail
from gatepost.delivery.errands import Errands
from gatepost.delivery.giving_back import give_back
from gatepost.delivery.lasting import repeat
from gatepost.delivery.leaving import Leaving
from gatepost.delivery.lookup import key_of
from gatepost.delivery.parcel import Item, Parcel, Shelf
from gatepost.delivery.routing import Hop
from gatepost.delivery.scheduler_parts import Parts
from gatepost.delivery.settled_here import settled_here
from gatepost.delivery.shares import Shares
from gatepost.delivery.site import Site
from gatepost.model.delivery import ASKED_FOR, Leased, OutcomeKind
from gatepost.model.ids import DeliveryId
from gatepost.model.lane import Lane
from gatepost.model.route import Via
from gatepost.queue.lanes import has_room, room_for
from gatepost.returns.outcome import LOCAL_TROUBLE, NO_ROUTE_NOW, deferred
from gatepost.returns.settle import earliest_retry
from gatepost.returns.settlement import Result
from gatepost.store.leases import ANY_NODE, Held, Lease
from gatepost.store.protocols import Settlement, StoreUnavailableError

_log = logging.getLogger(__name__)

#: So many parcels of one site may wait in memory, however slow it is.
_LEAST_WAITING = 50
#: What a slow site gives back is due again after so long, more or less.
_SLOW_PAUSE = timedelta(seconds=60)
#: What the store did not let go is due again after so long.
_SHORT_PAUSE = timedelta(seconds=5)
_STOPPED = "the worker that held it stopped"
#: How often idle connections are looked at, in seconds.
_TIDY = 1.0

#: For whom it is found out where a hop leads.
_Search = tuple[str, tuple[Via, str]]


class Scheduler:
    """The deliveries of one worker."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._worker = parts.worker
        #: Replaced when settings are read again.
        self.routing = parts.routing
        self._lookup = parts.lookup
        self._pool = parts.pool
        self._sources = parts.sources
        self._attempts = parts.attempts
        self._settler = parts.settler
        self._bounds = parts.bounds
        self._lease_length = timedelta(seconds=parts.bounds.lease)
        self._now = parts.now
        self._spread = parts.spread
        self._loop = asyncio.get_running_loop()
        self._items: dict[DeliveryId, Item] = {}
        self._shares = Shares()
        self._octets = 0
        self._resolving: dict[_Search, list[tuple[Item, Sequence[bytes] | None]]] = {}
        self._errands = Errands()
        self._stopping = asyncio.Event()
        self._due = DueMail(parts, self._shares, self, self._stopping)
        self._settler.listen(self._written)
        self._leaving = Leaving(parts.pool, parts.sources, self._without_source)
        self._sources.on_change(self._sources_changed)

    # -- what comes in

    @property
    def held(self) -> int:
        """How many deliveries are in our hands."""
        return len(self._items)

    def room(self, lane: Lane = Lane.OTP) -> bool:
        """Tell whether more of a lane may be handed over; of the most urgent, if of any."""
        if self._stopping.is_set():
            return False
        return has_room(lane, self._bounds.held, len(self._items))

    def lease(
        self,
        lane: Lane = Lane.TRANSACTIONAL,
        destination: str = "",
        pools: Collection[str] = ANY_NODE,
        account: str = "",
        count: int = 1,
    ) -> Lease | None:
        """Return what new mail is leased with to be handed over; None where there is no room, or
        none for so much of an account or for a destination that has enough in hand, or where it
        leaves from another node.
        """
        if not self._sources.serves(pools):
            return None
        if not self.room(lane):
            self._due.miss(lane)
            return None
        free = room_for(self._bounds.held, len(self._items))[lane]
        if not self._shares.hands_over(lane, account, count, free) or self._shares.has_enough(
            lane, destination, free
        ):
            self.due_by(self._now())
            return None
        return self.own_lease()

    def doubt(self) -> None:
        """Act upon no lease before the store has said that it is still ours."""
        for item in self._items.values():
            item.until = 0.0
        self._errands.run(self._ask_anew())

    async def _ask_anew(self) -> None:
        try:
            await self._keep_leases()
        except StoreUnavailableError as trouble:
            _log.warning("leases are in doubt for a while: %s", trouble)

    def look(self) -> None:
        """Look for due mail at once: this process has written some (a retry, a release)."""
        self._due.look()

    def take(self, leased: Sequence[Leased], pieces: Sequence[bytes] | None) -> None:
        """Take deliveries that are leased to us; `pieces` is their content, if it is at hand.

        With pieces they are of one submission. A worker that stops gives them back.
        """
        if self._stopping.is_set():
            self._errands.run(self.give_back_untaken(leased))
            return
        shelf = None
        if pieces is not None and leased:
            size = leased[0].submission.size
            if self._octets + size <= self._bounds.content:
                self._octets += size
                shelf = Shelf(size, len(leased))
            else:
                pieces = None
        until = self._loop.time() + self._bounds.lease - self._bounds.written_within
        for one in leased:
            delivery = one.delivery
            item = Item(one, self.routing.hop(delivery.forward_path, delivery.destination), until)
            item.shelf = shelf
            if (former := self._items.get(item.id)) is not None:
                former.is_ours = False
                self._let_go(former)
            self._items[item.id] = item
            self._shares.add(delivery.lane, delivery.destination, one.account)
            self._place(item, pieces)

    def _place(self, item: Item, pieces: Sequence[bytes] | None) -> None:
        """Room 6: settle it here, queue it for its site, or find out which that is."""
        settled = settled_here(item.leased, item.hop, self._now())
        if settled is not None:
            self._settler.settle(settled)
            return
        found = self._lookup.known(item.hop)
        if isinstance(found, Site):
            self._leaving.put(found, item, pieces)
            return
        # Each account for itself: nobody waits for the turn of another's question to the DNS.
        account = item.leased.account
        key = account, key_of(item.hop)
        waiting = self._resolving.get(key)
        if waiting is not None:
            waiting.append((item, pieces))
            return
        self._resolving[key] = [(item, pieces)]
        self._errands.run(self._resolve(item.hop, account))

    async def _resolve(self, hop: Hop, account: str) -> None:
        key = account, key_of(hop)
        # What was found a moment ago is not what an operator wants to hear who has just mended it.
        asked_for = any(i.leased.delivery.reason == ASKED_FOR for i, _ in self._resolving[key])
        known = None if asked_for else self._lookup.known(hop)
        try:
            found = known or await self._lookup.find(hop, account)
        except Exception:  # noqa: BLE001 - what waits for this name must not wait for ever
            _log.exception("looking up %s failed", hop.destination)
            found = deferred(LOCAL_TROUBLE, "a fault of ours; it is in the log")
        waiting = self._resolving.pop(key, [])
        if isinstance(found, Site):
            for item, pieces in waiting:
                self._leaving.put(found, item, pieces)
            return
        items = [item for item, _ in waiting]
        counted = found.kind is OutcomeKind.DEFERRED
        if counted:  # a name that cannot be found now is a try that failed: it waits ever longer
            try:
                await self._attempts.begin([i.held for i in items])
            except StoreUnavailableError:
                self.release(items, "the store is away")
                return
            except Exception:  # noqa: BLE001 - else their leases would be kept without end
                _log.exception("counting attempts for %s failed", hop.destination)
                self.release(items, found.text, _SLOW_PAUSE)
                return
        for item in items:
            self._settler.settle(Result(item.leased, found, attempted=counted))

    def place_anew(self, site: Site, parcels: Sequence[Parcel]) -> None:
        """Queue parcels again whose source may not be used any more."""
        if self._stopping.is_set():
            self.release([item for parcel in parcels for item in parcel.items], _STOPPED)
        else:
            self._leaving.put_anew(site, parcels)

    def _sources_changed(self) -> None:
        if not self._stopping.is_set():  # then all that waits is given back anyway
            self._leaving.change()
            self.look()

    def _without_source(self, items: list[Item], why: str) -> None:
        """Give back what nothing can be called for from here now; it was not attempted."""
        pools, late = self._sources.pools, self._settler.is_late
        self.untried([i for i in items if i.leased.delivery.pool not in pools], why, timedelta(0))
        # What any node may send comes back to us: not at once, and nobody else minds its time (`strays`).
        ours = [i for i in items if i.leased.delivery.pool in pools]
        self.untried([i for i in ours if not late(i.leased)], why, _SLOW_PAUSE)
        outcome = deferred(NO_ROUTE_NOW, "no source address may be used for it now")
        for item in ours:
            if late(item.leased):
                self._settler.settle(Result(item.leased, outcome, attempted=item.counted))

    # -- what goes out

    def release(self, items: Sequence[Item], reason: str, after: timedelta | None = None) -> None:
        """Let go of deliveries that came to nothing; with a reason they are given back."""
        for item in items:
            if self._items.get(item.id) is item:
                self._let_go(item)
            self._unshelve(item)
        ours = [i.held for i in items if i.is_ours]
        if reason and ours:
            at = self._now() + (after or timedelta(0))
            self._errands.run(self._give_back(ours, at, reason))

    def untried(self, items: Sequence[Item], why: str, after: timedelta | None = None) -> None:
        """Give back, in a moment, what was not attempted, though it may have been counted."""
        ours = [i for i in items if i.is_ours and self._items.get(i.id) is i]
        self.release(items, "")
        if ours:
            at = self._now() + (_SHORT_PAUSE if after is None else after)
            unmade = [i.held for i in ours if i.counted]
            self._errands.run(self._give_back([i.held for i in ours], at, why, unmade))

    async def give_back_untaken(self, leased: Sequence[Leased]) -> None:
        """Give back what was leased for hands that had closed meanwhile."""
        await self._give_back([_held(one) for one in leased], self._now(), _STOPPED)

    async def _give_back(
        self, held: list[Held], at: datetime, reason: str, unmade: Sequence[Held] = ()
    ) -> None:
        lasting, stopping = self._bounds.lease, self._stopping
        if await give_back(
            self._store, held, at, reason, unmade=unmade, lasting=lasting, stopping=stopping
        ):
            self.due_by(at)

    def _written(self, settlements: Sequence[Settlement], _: set[DeliveryId]) -> None:
        for one in settlements:
            item = self._items.get(one.held.id)
            if item is not None and item.leased.fence == one.held.fence:
                self._let_go(item)
        if (at := earliest_retry(settlements)) is not None:
            self.due_by(at)
        self._due.room_again()

    def _let_go(self, item: Item) -> None:
        """Take one that is in our hands out of them."""
        del self._items[item.id]
        delivery, account = item.leased.delivery, item.leased.account
        self._shares.remove(delivery.lane, delivery.destination, account)
        self._unshelve(item)

    def _unshelve(self, item: Item) -> None:
        if item.shelf is not None:
            self._octets -= item.shelf.take_one()
            item.shelf = None

    def due_by(self, at: datetime) -> None:
        """Look for due mail at a time: some that this process has written waits until then."""
        self._due.by(at)

    # -- what never ends while the worker runs

    async def run(self) -> None:
        """Look for due mail, keep leases, tidy up; until `stop`."""
        stopping = self._stopping
        async with asyncio.TaskGroup() as group:
            group.create_task(self._due.watch())
            group.create_task(repeat(self._keep_leases, self._bounds.renew_after / 4, stopping))
            group.create_task(repeat(self._tidy, _TIDY, stopping))
            group.create_task(repeat(self._be_fair, self._bounds.fairness, stopping))

    async def stop(self, grace: float) -> None:
        """Stop within about `grace` seconds: end transactions under way, give back the rest."""
        self._stopping.set()
        self._due.wake()
        waiting = [item for parcel in self._pool.close() for item in parcel.items]
        waiting += [item for group in self._resolving.values() for item, _ in group]
        self._resolving.clear()
        self.release(waiting, _STOPPED)
        if tasks := self._pool.tasks():
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        try:
            async with asyncio.timeout(max(grace, 1.0)):
                await self._settler.flush()
                self.release(list(self._items.values()), _STOPPED)
                await self._errands.ended()
        except TimeoutError:
            _log.warning("%d deliveries wait for their leases to end", len(self._items))

    async def _keep_leases(self) -> None:
        old = self._loop.time() + self._bounds.lease - self._bounds.renew_after
        items = [i for i in self._items.values() if i.until < old and i.is_ours]
        if not items:
            return
        lease = self.own_lease()
        until = self._loop.time() + self._bounds.lease
        held = [i.held for i in items]
        ours = await self._store.write(lambda t: t.renew(held, lease.until))
        for item in items:
            if item.id in ours:
                item.until = until
            else:
                item.is_ours = False

    async def _tidy(self) -> None:
        self._pool.end_idle(self._loop.time())

    async def _be_fair(self) -> None:
        """Where the room grows short, slow sites give back what they will not send soon."""
        slow = self._pool.slow_sites(_LEAST_WAITING)
        if len(self._items) * 2 < self._bounds.held:
            return
        for queue, surplus in slow:
            items = [i for parcel in queue.claim_last(surplus) for i in parcel.items]
            host = queue.site.hosts[0].name if queue.site.hosts else queue.site.key
            self.release(
                items, f"waits for its turn at {host}", _SLOW_PAUSE * (0.5 + self._spread())
            )

    # -- small things

    def own_lease(self) -> Lease:
        """Return what is leased from now on with: by us, for so long, of our pools."""
        return Lease(self._worker, self._now() + self._lease_length, self._sources.pools)


def _held(leased: Leased) -> Held:
    return Held(leased.delivery.id, leased.fence)
