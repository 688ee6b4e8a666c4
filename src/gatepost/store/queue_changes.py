"""What a job may change in the queue, in words that every database understands (`statements`).

What needs no answer waits in `Pending`; whatever asks sees it, because asking writes it first.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final

from gatepost.model.delivery import ASKED_FOR, Delivery, DeliveryState, Leased
from gatepost.model.event import Event
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.submission import Submission
from gatepost.store.leases import Held, Lease
from gatepost.store.notices import NoticeKind
from gatepost.store.pending import Pending, new_delivery_row
from gatepost.store.protocols import Settlement
from gatepost.store.queries import Queries
from gatepost.store.quota_protocols import Spending
from gatepost.store.rows import (
    DUE,
    LEASED,
    NOTICE_NUMBERS,
    NUMBERS,
    Row,
    as_json,
    microseconds,
    outcome_json,
    submission_row,
)
from gatepost.store.table_changes import TableChanges

_FREE: Final = (
    "UPDATE delivery SET state = 0, ready_at = next_attempt_at, worker = NULL"
    " WHERE state = 1 AND substr(worker, 1, ?) = ?"
)
_HASTEN: Final = (
    "UPDATE delivery SET next_attempt_at = ?, ready_at = ?"
    " WHERE state = 0 AND lane IN (0, 1, 2) AND ready_at > ? AND attempts > 0"
)
_IN_STATES: Final = (
    "SELECT id, submission_id FROM delivery WHERE id IN (SELECT value FROM json_each(?))"
    " AND +state IN ({}) ORDER BY id"
)
#: What is under way keeps its worker, and when that one's lease ends.
_HOLD: Final = (
    "UPDATE delivery SET state = 2, ready_at = CASE WHEN state = 1 THEN ready_at END,"
    " reason = 'held by an operator' WHERE id IN (SELECT value FROM json_each(?))"
)
#: ?1: now. What waits for its time (never tried, and not due yet) goes back to waiting when it was
#: held; else it is due now, and has its whole time for trying.
_WAITS: Final = "attempts = 0 AND next_attempt_at > ?1"
_AT: Final = f"CASE WHEN state = 2 AND {_WAITS} THEN next_attempt_at ELSE ?1 END"
#: It may be under way still: the lease stands again, else a second copy would go out meanwhile.
_IN_HAND: Final = "state = 2 AND worker IS NOT NULL AND ready_at > ?1"
#: What was held is tried for as long as it would have been from then on; an hour at least.
_LEAST: Final = 3_600_000_000
_RELEASE: Final = (
    f"UPDATE delivery SET state = CASE WHEN {_IN_HAND} THEN 1 ELSE 0 END,"  # noqa: S608
    f" ready_at = CASE WHEN {_IN_HAND} THEN ready_at ELSE {_AT} END,"
    f" worker = CASE WHEN {_IN_HAND} THEN worker END,"
    f" reason = CASE WHEN {_IN_HAND} OR (state = 2 AND {_WAITS}) THEN '' ELSE '{ASKED_FOR}' END, expires_at = CASE WHEN {_IN_HAND} THEN expires_at"
    f" WHEN {_WAITS} THEN expires_at - next_attempt_at + {_AT}"
    " WHEN state <> 2 OR next_attempt_at > ?1 THEN expires_at"
    f" WHEN expires_at - next_attempt_at < {_LEAST} THEN ?1 + {_LEAST}"
    " ELSE expires_at - next_attempt_at + ?1 END,"
    f" next_attempt_at = CASE WHEN {_IN_HAND} THEN next_attempt_at ELSE {_AT} END WHERE id IN (SELECT value FROM json_each(?2))"
)
#: Cancelled while it was under way: what the next hop took is told all the same.
_DELIVERED_ALL_THE_SAME: Final = (
    "UPDATE {} SET state = 3, outcome = ?, reason = ? WHERE id = ? AND state = 7 AND leases = ?"
)


class QueueChanges(Queries, TableChanges):
    """The queue, its outcomes and its events; what is mixed into it leases."""

    _pending: Pending
    _places: Mapping[SubmissionId, Any]
    _known: set[str]
    #: Microseconds that the store's clock is ahead of ours.
    ahead = 0
    #: How a question keeps others from its rows until the commit, where they could come.
    for_update: ClassVar[str] = ""

    def _last_handed(self, held: Iterable[Held]) -> list[Row]:
        """Return what nobody was handed since: id, submission, state; they stay so until the commit."""
        raise NotImplementedError

    def _still_held(self, held: Iterable[Held]) -> dict[DeliveryId, SubmissionId]:
        """Return which leases stand, each with its submission; they stay so until the commit."""
        return {
            of: submission for of, submission, state in self._last_handed(held) if state == LEASED
        }

    def _is_known(self, submission_id: SubmissionId) -> bool:
        raise NotImplementedError

    def _queued(self, *, handed_over: bool) -> None:
        """Hear that the queue has changed; `handed_over`: nobody else is to look."""

    def _stored(self, at: datetime) -> int:
        """Return a time of ours as the store's clock has it."""
        return microseconds(at) + self.ahead

    def add_deliveries(
        self, submission: Submission, deliveries: Sequence[Delivery], lease: Lease | None = None
    ) -> list[Leased]:
        """Add a submission with its deliveries; hand the due ones over with `lease`."""
        if self._is_known(submission.id):
            return []
        self._known.add(submission.id)
        pending = self._pending
        pending.add_submission(submission_row(submission), self._places.get(submission.id))
        until = None if lease is None else self._stored(lease.until)
        row_of = partial(new_delivery_row, account=submission.account, ahead=self.ahead)
        leased = []
        for delivery in deliveries:
            outcome = outcome_json(delivery.last_outcome)
            if lease is not None and delivery.state is DeliveryState.DUE:
                row = row_of(delivery, outcome, until, lease.worker)
                leased.append(leased_of(delivery, submission))
            else:
                row = row_of(delivery, outcome, None, None)
            pending.add_delivery(row, delivery.id)
            if delivery.state.is_final:
                closed = (delivery.id, NUMBERS[delivery.state], outcome, delivery.reason, 0)
                pending.finish(closed, delivery.id, submission.id, captured=False)
        self._queued(handed_over=len(leased) == len(deliveries))
        return leased

    def settle(self, settlements: Iterable[Settlement]) -> set[DeliveryId]:
        """Write outcomes with their events."""
        by_id = {settlement.held.id: settlement for settlement in settlements}
        ours = set()
        for delivery_id, submission_id, state in self._last_handed(s.held for s in by_id.values()):
            settlement = by_id[delivery_id]
            # What was delivered is so, whatever was decided meanwhile: no second copy goes out.
            if state == LEASED or settlement.state is DeliveryState.DELIVERED:
                ours.add(delivery_id)
                self._settle_one(settlement, submission_id)
        for delivery_id, settlement in by_id.items():
            if delivery_id not in ours and settlement.state is DeliveryState.DELIVERED:
                self._tell_of_cancelled(settlement)
        return ours

    def _tell_of_cancelled(self, settlement: Settlement) -> None:
        held, reason = settlement.held, settlement.reason
        row = (outcome_json(settlement.outcome), reason, held.id, held.fence)
        if any(
            self._change(_DELIVERED_ALL_THE_SAME.format(day), row)
            for day in self.days("delivery")[:-3:-1]  # today's, or yesterday's
        ):
            self._pending.add_events(settlement.events)

    def _settle_one(self, settlement: Settlement, submission_id: SubmissionId) -> None:
        pending, delivery_id = self._pending, settlement.held.id
        outcome, reason = outcome_json(settlement.outcome), settlement.reason
        number = NUMBERS[settlement.state]
        warned = int(settlement.notice is NoticeKind.WARNING)
        if settlement.state.is_final:
            row: Row = (delivery_id, number, outcome, reason, warned)
            captured = settlement.state is DeliveryState.CAPTURED
            pending.finish(row, delivery_id, submission_id, captured=captured)
        else:
            at = settlement.next_attempt_at
            due_at = None if at is None else self._stored(at)
            row = (delivery_id, number, due_at, outcome, reason, warned)
            pending.again(row, delivery_id)
        if settlement.notice is not None:
            pending.notice(delivery_id, submission_id, settlement.notice)
        pending.add_events(settlement.events)
        if settlement.suppression is not None:
            self.add_suppressions((settlement.suppression,), replace=False)

    def give_back(self, held: Iterable[Held], at: datetime, reason: str) -> None:
        """Hand deliveries back unattempted."""
        due_at = self._stored(at)
        for delivery_id in self._still_held(held):
            self._pending.again((delivery_id, DUE, due_at, None, reason, 0), delivery_id)

    def free_leases(self, worker_prefix: str) -> int:
        """Make due what workers whose id begins so held."""
        return self._change(_FREE, (len(worker_prefix), worker_prefix))

    def hasten(self, later_than: datetime, at: datetime) -> int:
        """Make due what waits longer than it should; return how many."""
        wanted = (self._stored(at), self._stored(at), self._stored(later_than))
        return self._change(_HASTEN, wanted)

    def clear_notice(self, delivery_id: DeliveryId, kind: NoticeKind) -> bool:
        """Strike an owed report; content that waited for it may go. False: it is not owed."""
        sql = "DELETE FROM notice WHERE delivery_id = ? AND kind = ? RETURNING submission_id"
        struck = list(self._rows(sql, (delivery_id, NOTICE_NUMBERS[kind])))
        for (submission_id,) in struck:
            self._pending.let_go(submission_id)
        return bool(struck)

    # -- operator verbs on the queue
    def change_queue(
        self,
        ids: Sequence[DeliveryId],
        states: Sequence[DeliveryState],
        to: DeliveryState,
        now: datetime,
    ) -> list[DeliveryId]:
        """Hold, release, retry or cancel those that are in these states; return which they were."""
        sql = _IN_STATES.format(", ".join(str(NUMBERS[state]) for state in states))
        rows = list(self._rows(sql + self.for_update, (as_json(list(ids)),)))
        found = [row[0] for row in rows]
        if not found:
            return []
        if to is DeliveryState.HELD:
            self._run(_HOLD, (as_json(found),))
        elif to is DeliveryState.DUE:
            self._run(_RELEASE, (self._stored(now), as_json(found)))
        else:
            for delivery_id, submission_id in rows:
                closed = (delivery_id, NUMBERS[to], None, "cancelled by an operator", 0)
                self._pending.finish(closed, delivery_id, submission_id, captured=False)
        self._queued(handed_over=False)
        return found

    # -- quotas
    def spend(self, spendings: Iterable[Spending]) -> None:
        """Count what was sent."""
        self._pending.spend(spendings)

    # -- events
    def add_events(self, events: Iterable[Event]) -> None:
        """Append to the outbox."""
        self._pending.add_events(events)


def leased_of(delivery: Delivery, submission: Submission) -> Leased:
    """Return a delivery as it is once it is leased."""
    fence = delivery.leases + 1
    held = Delivery(
        delivery.id,
        delivery.submission_id,
        delivery.forward_path,
        delivery.destination,
        delivery.next_attempt_at,
        delivery.expires_at,
        DeliveryState.LEASED,
        delivery.attempts,
        fence,
        delivery.last_outcome,
        delivery.reason,
        delivery.warned,
        delivery.lane,
        delivery.wishes,
        delivery.pool,
        delivery.account,
    )
    return Leased(held, submission, fence)
