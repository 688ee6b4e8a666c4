"""The changes that a job may make, in SQLite's words.

What needs no answer waits in `Pending`; whatever asks sees it, because asking writes it first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gatepost.model.delivery import Delivery, DeliveryState, Leased
from gatepost.model.event import Event
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.lane import LANES, Lane, deal
from gatepost.model.submission import Submission
from gatepost.store.protocols import (
    ContentDamagedError,
    Held,
    Lease,
    NoticeKind,
    QueueFilter,
    Settlement,
)
from gatepost.store.queries import QUEUE_COLUMNS, queue_row
from gatepost.store.quota_protocols import Spending
from gatepost.store.rows import (
    DUE,
    LANE_NUMBERS,
    LEASED,
    NOTICE_NUMBERS,
    NUMBERS,
    Row,
    as_json,
    microseconds,
    outcome_json,
    submission_row,
)
from gatepost.store.segments import Place, SegmentGoneError
from gatepost.store.sqlite_pending import Pending, new_delivery_row
from gatepost.store.sqlite_reading import SqliteReading
from gatepost.store.table_changes import TableChanges

_READY: Final = (
    f"SELECT {QUEUE_COLUMNS} FROM delivery AS d CROSS JOIN submission AS s"  # noqa: S608
    " ON s.id = d.submission_id WHERE d.state = ? AND d.lane = ? AND d.ready_at <= ?"
    " ORDER BY d.ready_at LIMIT ?"
)
#: How many of each lane are ready, as far as they matter; the index alone answers.
_HOW_MANY_OF_ONE: Final = (
    "(SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = ?1 AND lane = {}"
    " AND ready_at <= ?2 LIMIT ?3))"
)
_HOW_MANY: Final = "SELECT " + ", ".join(map(_HOW_MANY_OF_ONE.format, range(len(LANES))))
_LEASE: Final = (
    "UPDATE delivery SET state = 1, leases = leases + 1, ready_at = ?, worker = ?"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
#: One row for any number of ids: a list of (id, submission id) in JSON.
_STILL_HELD: Final = (
    "SELECT json_group_array(json_array(d.id, d.submission_id)) FROM json_each(?) AS j"
    " CROSS JOIN delivery AS d ON d.id = j.key WHERE d.state = 1 AND d.leases = j.value"
)
_STILL_HELD_ONE: Final = (
    "SELECT submission_id FROM delivery WHERE id = ? AND state = 1 AND leases = ?"
)
_BEGIN_ONE: Final = (
    "UPDATE delivery SET attempts = attempts + 1 WHERE id = ? AND state = 1 AND leases = ?"
)
_BEGIN_ALL: Final = (
    "UPDATE delivery SET attempts = attempts + 1 WHERE id IN (SELECT value FROM json_each(?))"
)
_RENEW: Final = "UPDATE delivery SET ready_at = ? WHERE id IN (SELECT value FROM json_each(?))"
_FREE: Final = (
    "UPDATE delivery SET state = 0, ready_at = next_attempt_at, worker = NULL"
    " WHERE state = 1 AND substr(worker, 1, ?) = ?"
)
_HOLD: Final = (
    "UPDATE delivery SET state = 2, ready_at = NULL, worker = NULL, reason = 'held by an operator'"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
#: ?1: now. What waits for its time (never tried, and not due yet) goes back to waiting when it was
#: held; else it is due now, and has its whole time for trying.
_WAITS: Final = "attempts = 0 AND next_attempt_at > ?1"
_AT: Final = f"iif(state = 2 AND {_WAITS}, next_attempt_at, ?1)"
_RELEASE: Final = (
    f"UPDATE delivery SET state = 0, ready_at = {_AT}, worker = NULL, reason = '', expires_at ="  # noqa: S608
    f" iif({_WAITS}, expires_at - next_attempt_at + {_AT}, expires_at),"
    f" next_attempt_at = {_AT} WHERE id IN (SELECT value FROM json_each(?2))"
)
_KNOWN: Final = (
    "SELECT json_group_array(id) FROM submission WHERE id IN (SELECT value FROM json_each(?))"
)

#: From which states an operator's verb leads to a state.
_FROM: Final[Mapping[DeliveryState, tuple[DeliveryState, ...]]] = {
    DeliveryState.HELD: (DeliveryState.DUE, DeliveryState.LEASED),
    DeliveryState.DUE: (DeliveryState.HELD, DeliveryState.DUE),
    DeliveryState.CANCELLED: (DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.HELD),
}
#: More than any queue holds.
_ALL: Final = 2**31


class SqliteTransaction(SqliteReading, TableChanges):
    """`Transaction` for all jobs of one batch. `places` says where their contents are."""

    def __init__(
        self, directory: Path, pending: Pending, places: Mapping[SubmissionId, Place]
    ) -> None:
        super().__init__(pending.connection, directory)
        self._pending = pending
        self._places = places
        self._known: set[str] = set()
        if places:
            known = next(self._rows(_KNOWN, (as_json(list(places)),)))
            self._known = set(json.loads(known[0]))

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        self._pending.flush()
        return super()._rows(sql, bindings)

    def _run(self, sql: str, bindings: Iterable[Any] = ()) -> None:
        self._rows(sql, bindings)

    def _change(self, sql: str, bindings: Iterable[Any] = ()) -> int:
        self._rows(sql, bindings)
        return self._connection.changes()

    def flush(self) -> None:
        """Write what waits. Raises apsw.Error."""
        self._pending.flush()

    def content(self, submission_id: SubmissionId) -> bytes | None:
        """Return the stored octets. Raises ContentDamagedError."""
        try:
            return super().content(submission_id)
        except SegmentGoneError as error:
            msg = f"segment {error} is missing"
            raise ContentDamagedError(msg) from error

    # -- rooms 4 and 5
    def add_deliveries(
        self, submission: Submission, deliveries: Sequence[Delivery], lease: Lease | None = None
    ) -> list[Leased]:
        """Add a submission with its deliveries; hand the due ones over with `lease`."""
        if self._is_known(submission.id):
            return []
        self._known.add(submission.id)
        pending = self._pending
        pending.add_submission(submission_row(submission), self._places.get(submission.id))
        until = None if lease is None else microseconds(lease.until)
        leased = []
        for delivery in deliveries:
            outcome = outcome_json(delivery.last_outcome)
            if lease is not None and delivery.state is DeliveryState.DUE:
                row = new_delivery_row(delivery, outcome, until, lease.worker)
                leased.append(_leased(delivery, submission))
            else:
                row = new_delivery_row(delivery, outcome, None, None)
            pending.add_delivery(row, delivery.id)
            if delivery.state.is_final:
                closed = (delivery.id, NUMBERS[delivery.state], outcome, delivery.reason, 0)
                pending.finish(closed, delivery.id, submission.id, captured=False)
        return leased

    def _is_known(self, submission_id: SubmissionId) -> bool:
        if submission_id in self._known:
            return True
        if submission_id in self._places:
            return False
        return self.submission(submission_id) is not None

    def lease_due(
        self,
        now: datetime,
        lease: Lease,
        *,
        limit: int,
        within: Mapping[Lane, int] | None = None,
    ) -> list[Leased]:
        """Lease deliveries that are due, then such whose lease has ended."""
        room = {lane: limit if within is None else within.get(lane, 0) for lane in LANES}
        rows: list[Row] = []
        for state in (DUE, LEASED):
            rows += self._ready(state, microseconds(now), limit - len(rows), room)
        if not rows:
            return []
        ids = as_json([row[0] for row in rows])
        self._rows(_LEASE, (microseconds(lease.until), lease.worker, ids))
        found = map(queue_row, rows)
        return [_leased(row.delivery, row.submission) for row in found]

    def _ready(self, state: int, at: int, limit: int, room: dict[Lane, int]) -> list[Row]:
        """Return rows of a state that may be leased, the most urgent lane first; `room` shrinks."""
        counts = next(self._rows(_HOW_MANY, (state, at, limit)))
        waiting = {lane: min(n, room[lane]) for lane, n in zip(LANES, counts, strict=True) if n}
        rows: list[Row] = []
        for lane, count in deal(limit, waiting).items() if waiting else ():
            if count:
                rows += self._rows(_READY, (state, LANE_NUMBERS[lane], at, count))
                room[lane] -= count
        return rows

    def begin_attempts(self, held: Iterable[Held]) -> set[DeliveryId]:
        """Count an attempt for each delivery still held."""
        wanted = list(held)
        if len(wanted) == 1 and wanted[0].id not in self._pending.touched:
            one = wanted[0]
            self._connection.execute(_BEGIN_ONE, (one.id, one.fence))
            return {one.id} if self._connection.changes() else set()
        ids = set(self._still_held(wanted))
        self._change_all(_BEGIN_ALL, ids)
        return ids

    def renew(self, held: Iterable[Held], until: datetime) -> set[DeliveryId]:
        """Prolong leases."""
        ids = set(self._still_held(held))
        self._change_all(_RENEW, ids, microseconds(until))
        return ids

    def give_back(self, held: Iterable[Held], at: datetime, reason: str) -> None:
        """Hand deliveries back unattempted."""
        due_at = microseconds(at)
        for delivery_id in self._still_held(held):
            self._pending.again((delivery_id, DUE, due_at, None, reason, 0), delivery_id)

    def free_leases(self, worker_prefix: str) -> int:
        """Make due what workers whose id begins so held."""
        return self._change(_FREE, (len(worker_prefix), worker_prefix))

    def settle(self, settlements: Iterable[Settlement]) -> set[DeliveryId]:
        """Write outcomes with their events."""
        by_id = {settlement.held.id: settlement for settlement in settlements}
        held = self._still_held(settlement.held for settlement in by_id.values())
        for delivery_id, submission_id in held.items():
            self._settle_one(by_id[delivery_id], submission_id)
        return set(held)

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
            due_at = None if at is None else microseconds(at)
            row = (delivery_id, number, due_at, outcome, reason, warned)
            pending.again(row, delivery_id)
        if settlement.notice is not None:
            pending.notice(delivery_id, submission_id, settlement.notice)
        pending.add_events(settlement.events)
        if settlement.suppression is not None:
            self.add_suppressions((settlement.suppression,), replace=False)

    def _still_held(self, held: Iterable[Held]) -> dict[DeliveryId, SubmissionId]:
        wanted = {one.id: one.fence for one in held}
        if not wanted:
            return {}
        if not self._pending.touched.isdisjoint(wanted):
            self._pending.flush()
        if len(wanted) == 1:
            ((name, fence),) = wanted.items()
            found = next(self._connection.execute(_STILL_HELD_ONE, (name, fence)), None)
            return {} if found is None else {name: found[0]}
        row = next(self._connection.execute(_STILL_HELD, (as_json(wanted),)))
        return dict(json.loads(row[0]))

    def _change_all(self, sql: str, ids: Iterable[DeliveryId], *first: int) -> None:
        wanted = list(ids)
        if wanted:
            self._connection.execute(sql, (*first, as_json(wanted)))

    def clear_notice(self, delivery_id: DeliveryId, kind: NoticeKind) -> None:
        """Strike an owed report; content that waited for it may go."""
        sql = "DELETE FROM notice WHERE delivery_id = ? AND kind = ? RETURNING submission_id"
        for (submission_id,) in list(self._rows(sql, (delivery_id, NOTICE_NUMBERS[kind]))):
            self._pending.let_go(submission_id)

    # -- operator verbs on the queue
    def change_queue(
        self, which: QueueFilter, to: DeliveryState, now: datetime
    ) -> list[DeliveryId]:
        """Hold, release, retry or cancel matching deliveries; return which changed."""
        wanted = which.states or _FROM[to]
        states = tuple(state for state in _FROM[to] if state in wanted)
        if not states:
            return []
        rows = self.deliveries(replace(which, states=states), limit=_ALL)
        ids = [row.delivery.id for row in rows]
        if to is DeliveryState.HELD:
            self._change_all(_HOLD, ids)
        elif to is DeliveryState.DUE:
            self._change_all(_RELEASE, ids, microseconds(now))
        else:
            for row in rows:
                delivery = row.delivery
                self._pending.finish(
                    (delivery.id, NUMBERS[to], None, "cancelled by an operator", 0),
                    delivery.id,
                    delivery.submission_id,
                    captured=False,
                )
        return ids

    # -- quotas
    def spend(self, spendings: Iterable[Spending]) -> None:
        """Count what was sent."""
        self._pending.spend(spendings)

    # -- events
    def add_events(self, events: Iterable[Event]) -> None:
        """Append to the outbox."""
        self._pending.add_events(events)

    # -- housekeeping
    def move_content(self, submission_id: SubmissionId, old: Place) -> None:
        """Point at the copy that came with this job, if the row still points at `old`."""
        new = self._places[submission_id]
        sql = (
            "UPDATE content SET segment = ?, offset = ? WHERE submission_id = ?"
            " AND segment = ? AND offset = ?"
        )
        self._rows(sql, (new.segment, new.offset, submission_id, old.segment, old.offset))

    def execute(self, sql: str, bindings: Iterable[Any] = ()) -> int:
        """Run a statement of housekeeping; return how many rows it changed."""
        self._pending.flush()
        before = self._connection.total_changes()
        self._rows(sql, bindings)
        return self._connection.total_changes() - before


def _leased(delivery: Delivery, submission: Submission) -> Leased:
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
    )
    return Leased(held, submission, fence)
