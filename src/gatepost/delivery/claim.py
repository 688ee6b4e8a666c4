"""What a courier has claimed, and what became of each item: one outcome, or queued again, and neither twice."""

from collections.abc import Sequence

from gatepost.delivery.depot import Depot
from gatepost.delivery.link import Link
from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.site_queue import SiteQueue
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.ids import DeliveryId
from gatepost.queue.expiry import is_expired
from gatepost.returns.outcome import says_too_many_recipients
from gatepost.returns.settlement import Result
from gatepost.store.protocols import StoreUnavailableError
from gatepost.wire.smtp.client_events import Verdict
from gatepost.wire.smtp.reply_reader import ServerReply


class Claim:
    """The present claim of one connection of a site."""

    __slots__ = ("_depot", "_ended", "_queue", "parcels")

    def __init__(self, queue: SiteQueue, depot: Depot) -> None:
        self._queue = queue
        self._depot = depot
        self.parcels: list[Parcel] = []
        #: What has its outcome, or is queued again.
        self._ended: set[DeliveryId] = set()

    def take(self) -> list[Parcel]:
        """Claim what is next in the queue, instead of what was claimed before."""
        self.parcels = self._queue.claim()
        self._ended.clear()
        return self.parcels

    def take_all(self) -> list[Parcel]:
        """Claim all that waits besides; return that."""
        waiting = self._queue.claim_all()
        self.parcels += waiting
        return waiting

    def open_items(self, parcel: Parcel) -> list[Item]:
        """Return those of a parcel's items of which nothing has become yet."""
        return [item for item in parcel.items if item.id not in self._ended]

    # -- before an attempt

    def put_back(self, parcel: Parcel) -> None:
        """Queue a parcel again; what becomes of it is no matter of this claim any more."""
        self._ended.update(item.id for item in parcel.items)
        self._queue.put_back(parcel)

    def put_off_without_room(self, parcel: Parcel) -> None:
        """Put off a large message while its account has many of them in memory."""
        self._ended.update(item.id for item in parcel.items)
        self._depot.untried(parcel.items, "large messages of its account are on their way")
        parcel.items = []

    def put_off_without_contents(self, parcels: list[Parcel], why: str) -> None:
        """Put off what no content is to be had for; end it where that, and its time, is long over."""
        if self._depot.contents.are_lost:
            at = self._depot.now()
            for parcel in parcels:
                self._expire(
                    parcel, [i for i in parcel.items if i.leased.delivery.expires_at <= at]
                )
        self._depot.untried([i for p in parcels for i in p.items], why)

    def end_expired(self, parcels: list[Parcel]) -> None:
        """End what has waited here beyond its time: a slow site must not make old mail older."""
        at = self._depot.now()
        for parcel in parcels:
            self._expire(parcel, [i for i in parcel.items if is_expired(i.leased.delivery, at)])

    def _expire(self, parcel: Parcel, late: list[Item]) -> None:
        for item in late:
            self._ended.add(item.id)
            self._depot.settle(Result(item.leased, None, attempted=False, expired=True))
        if late:
            parcel.items = [i for i in parcel.items if i not in late]

    async def count(self, parcels: Sequence[Parcel]) -> None:
        """Have an attempt counted durably, where it is not, and note what is ours no longer.

        Raises:
            StoreUnavailableError: nothing was counted.

        """
        items = [i for p in parcels for i in p.items if not i.counted]
        ours: set[DeliveryId] = await self._depot.attempts.begin([i.held for i in items])
        for item in items:
            item.counted = True
            item.is_ours = item.is_ours and item.id in ours

    # -- behind it

    def settle(self, items: Sequence[Item], outcome: Outcome) -> None:
        """Give items their outcome; what was lost to another is let go of."""
        for item in items:
            self._ended.add(item.id)
            if item.is_ours or outcome.kind is OutcomeKind.DELIVERED:
                self._depot.settle(Result(item.leased, outcome))
            else:
                self._depot.release((item,), "")

    def settle_each(self, parcel: Parcel, verdicts: Sequence[Verdict], link: Link) -> list[Item]:
        """Settle each recipient; return those that only lacked room in this transaction."""
        again: list[Item] = []
        took_some = any(isinstance(v, ServerReply) and v.code // 100 == 2 for v in verdicts)
        for item, verdict in zip(parcel.items, verdicts, strict=True):
            if took_some and isinstance(verdict, ServerReply) and says_too_many_recipients(verdict):
                again.append(item)
            else:
                self._ended.add(item.id)
                self._depot.settle(Result(item.leased, link.outcome(verdict)))
        return again

    async def settle_all_waiting(self, parcels: list[Parcel], outcome: Outcome) -> None:
        """Give parcels, and all that wait besides, the outcome of a session that was not to be had."""
        waiting = self.take_all()
        try:
            await self.count(waiting)
        except StoreUnavailableError:
            self._depot.release([i for p in waiting for i in p.items], "the store is away")
            waiting = []
        for parcel in (*parcels, *waiting):
            self.settle(parcel.items, outcome)
