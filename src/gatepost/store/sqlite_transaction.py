"""The changes that a job may make, in SQLite's words.

What needs no answer waits in `Pending`; whatever asks sees it, because asking writes it first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from gatepost.model.delivery import Leased
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.lane import LANES, Lane
from gatepost.store.leases import Held, Lease
from gatepost.store.pools import dealt, of_each
from gatepost.store.protocols import ContentDamagedError
from gatepost.store.queries import QUEUE_COLUMNS, queue_row
from gatepost.store.queue_changes import QueueChanges, leased_of
from gatepost.store.rows import (
    DUE,
    LANE_NUMBERS,
    LEASED,
    Row,
    as_json,
    known,
    microseconds,
)
from gatepost.store.segments import Place, SegmentGoneError
from gatepost.store.sqlite_pending import SqlitePending
from gatepost.store.sqlite_reading import SqliteReading
from gatepost.store.turns import Turn

_READY: Final = (
    f"SELECT {QUEUE_COLUMNS} FROM delivery AS d CROSS JOIN submission AS s"  # noqa: S608
    " ON s.id = d.submission_id WHERE d.state = ? AND d.lane = ? AND d.pool = ? AND d.ready_at <= ?"
    " ORDER BY d.ready_at LIMIT ?"
)
#: The other index would lead past all that is due before it.
_READY_IN_TURN: Final = (
    f"SELECT {QUEUE_COLUMNS} FROM delivery AS d INDEXED BY {{index}}"  # noqa: S608
    " CROSS JOIN submission AS s"
    " ON s.id = d.submission_id WHERE d.state = 0 AND d.lane = ?1 AND d.pool = ?2 AND d.account = ?3"
    "{of} AND d.ready_at <= ?4 ORDER BY d.ready_at LIMIT ?5"
)
_READY_OF_ACCOUNT: Final = _READY_IN_TURN.format(index="delivery_of_account", of="")
_READY_OF_ONE: Final = _READY_IN_TURN.format(index="delivery_turn", of=" AND d.destination = ?6")
#: How many of each lane and pool are ready, as far as they matter; the index alone answers.
_HOW_MANY: Final = (
    "(SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = ?1 AND lane = {lane}"
    " AND pool = {pool} AND ready_at <= ?2 LIMIT ?3))"
)
#: Which of these are due, with all that is handed out.
_THESE: Final = (
    f"SELECT {QUEUE_COLUMNS} FROM json_each(?) AS j CROSS JOIN delivery AS d ON d.id = j.value"  # noqa: S608
    " CROSS JOIN submission AS s ON s.id = d.submission_id WHERE d.state = 0"
)
_LEASE: Final = (
    "UPDATE delivery SET state = 1, leases = leases + 1, ready_at = ?, worker = ?"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
#: One row for any number of ids: a list of (id, submission id) in JSON.
_LAST_HANDED: Final = (
    "SELECT json_group_array(json_array(d.id, d.submission_id, d.state)) FROM json_each(?) AS j"
    " CROSS JOIN delivery AS d ON d.id = j.key WHERE d.leases = j.value"
)
_LAST_HANDED_ONE: Final = (
    "SELECT id, submission_id, state FROM delivery WHERE id = ? AND leases = ?"
)
_BEGIN_ONE: Final = (
    "UPDATE delivery SET attempts = attempts + 1 WHERE id = ? AND state = 1 AND leases = ?"
)
_BEGIN_ALL: Final = (
    "UPDATE delivery SET attempts = attempts + 1 WHERE id IN (SELECT value FROM json_each(?))"
)
_WITHDRAW: Final = (
    "UPDATE delivery SET attempts = max(attempts - 1, 0)"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
_RENEW: Final = "UPDATE delivery SET ready_at = ? WHERE id IN (SELECT value FROM json_each(?))"
_KNOWN: Final = (
    "SELECT json_group_array(id) FROM submission WHERE id IN (SELECT value FROM json_each(?))"
)


class SqliteTransaction(SqliteReading, QueueChanges):
    """`Transaction` for all jobs of one batch. `places` says where their contents are."""

    settled_events: ClassVar[str] = ""  # its own events are its own to see

    def __init__(
        self, directory: Path, pending: SqlitePending, places: Mapping[SubmissionId, Place]
    ) -> None:
        super().__init__(pending.connection, directory)
        self._pending: SqlitePending = pending
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
        ended: bool = True,
    ) -> list[Leased]:
        """Lease deliveries that are due, then such whose lease has ended."""
        room = {lane: limit if within is None else within.get(lane, 0) for lane in LANES}
        rows: list[Row] = []
        for state in (DUE, LEASED) if ended else (DUE,):
            rows += self._ready(state, now, limit - len(rows), room, lease.pools)
        return self._lease(rows, lease)

    def lease_turns(self, now: datetime, lease: Lease, turns: Sequence[Turn]) -> list[Leased]:
        """Lease what is due of these."""
        rows: list[Row] = []
        at = microseconds(now)
        for turn in turns:
            line = turn.line
            wanted = (LANE_NUMBERS[line.lane], line.pool, turn.account, at, turn.count)
            if turn.destination is None:
                rows += self._rows(_READY_OF_ACCOUNT, wanted)
            else:
                rows += self._rows(_READY_OF_ONE, (*wanted, turn.destination))
        return self._lease(rows, lease)

    def lease_ended(
        self, now: datetime, lease: Lease, *, limit: int, within: Mapping[Lane, int]
    ) -> list[Leased]:
        """Lease what others had leased."""
        return self._lease(self._ready(LEASED, now, limit, dict(within), lease.pools), lease)

    def lease_these(self, ids: Sequence[DeliveryId], lease: Lease) -> list[Leased]:
        """Lease those among these that are due."""
        return self._lease(list(self._rows(_THESE, (as_json(list(ids)),))), lease)

    def _lease(self, rows: Sequence[Row], lease: Lease) -> list[Leased]:
        if not rows:
            return []
        ids = as_json([row[0] for row in rows])
        self._rows(_LEASE, (microseconds(lease.until), lease.worker, ids))
        # What we cannot read is leased all the same: else it would stand before all that is due.
        return [leased_of(row.delivery, row.submission) for row in known(rows, queue_row)]

    def _ready(
        self, state: int, now: datetime, limit: int, room: dict[Lane, int], pools: Sequence[str]
    ) -> list[Row]:
        """Return rows of a state that may be leased, the most urgent lane first; `room` shrinks."""
        at = microseconds(now)
        counts = next(
            self._rows(of_each(_HOW_MANY, len(pools), after=3), (state, at, limit, *pools))
        )
        rows: list[Row] = []
        for share in dealt(limit, counts, room, pools):
            rows += self._rows(
                _READY, (state, LANE_NUMBERS[share.lane], share.pool, at, share.count)
            )
            room[share.lane] -= share.count
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

    def withdraw_attempts(self, held: Sequence[Held]) -> None:
        """Take back attempts that were not made."""
        self._change_all(_WITHDRAW, self._still_held(held))

    def _last_handed(self, held: Iterable[Held]) -> list[Row]:
        wanted = {one.id: one.fence for one in held}
        if not wanted:
            return []
        if not self._pending.touched.isdisjoint(wanted):
            self._pending.flush()
        if len(wanted) == 1:
            return list(self._connection.execute(_LAST_HANDED_ONE, next(iter(wanted.items()))))
        row = next(self._connection.execute(_LAST_HANDED, (as_json(wanted),)))
        found: list[Row] = json.loads(row[0])
        return found

    def _change_all(self, sql: str, ids: Iterable[DeliveryId], *first: int) -> None:
        wanted = list(ids)
        if wanted:
            self._connection.execute(sql, (*first, as_json(wanted)))

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
