"""The changes that a job may make, where PostgreSQL's way is its own: many write at once.

What is decided by one statement is right by itself; what a job reads to change it, it has for itself
(`OwnReading`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, TypeVar

from gatepost.model.delivery import Delivery, Leased
from gatepost.model.ids import DeliveryId, SubmissionId, WorkerId
from gatepost.model.lane import LANES, Lane
from gatepost.model.quota import Subject
from gatepost.model.submission import Submission
from gatepost.store.bulk import BulkCount
from gatepost.store.leases import Held, Lease
from gatepost.store.pools import Share, dealt, of_each
from gatepost.store.postgresql_connection import Connection, Cursor
from gatepost.store.postgresql_doubt import Traces
from gatepost.store.postgresql_own_reading import OwnReading
from gatepost.store.postgresql_pending import Kept, PostgresPending
from gatepost.store.postgresql_schema import VERSIONS
from gatepost.store.postgresql_sweep import Swept
from gatepost.store.postgresql_words import statement, values
from gatepost.store.presences import Announcement, Beat
from gatepost.store.protocols import Transaction
from gatepost.store.queries import QUEUE_COLUMNS
from gatepost.store.rows import (
    DELIVERY_WIDTH,
    DUE,
    LANE_NUMBERS,
    LEASED,
    Row,
    as_json,
    delivery_of,
    known,
    submission_of,
)
from gatepost.store.turns import Turn

T = TypeVar("T")

#: Ordered, so that it ends where nothing more is due, whatever the planner believes: the index by
#: destination would be gone through to its end.
_HOW_MANY: Final = (
    "(SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = ?1 AND lane = {lane}"
    " AND pool = {pool} AND ready_at <= ?2 AND ready_at >= ?4 ORDER BY ready_at LIMIT ?3) AS l{n})"
)
#: What others are about to lease is passed over, not waited for. ctid is where a row that was locked
#: lies: it is not looked for again. One that was changed since the statement began is left for later.
_LEASE: Final = f"""
WITH r AS (SELECT ctid AS place, ready_at FROM delivery WHERE state = ? AND lane = ? AND pool = ?
    AND ready_at <= ? AND ready_at >= ? ORDER BY ready_at LIMIT ? FOR UPDATE SKIP LOCKED)
UPDATE delivery AS d SET state = 1, leases = d.leases + 1, ready_at = ?, worker = ?
FROM r, submission AS s WHERE d.ctid = r.place AND s.id = d.submission_id
RETURNING {QUEUE_COLUMNS}, r.ready_at
"""  # noqa: S608 - our own column names
#: The indexes of turns have the lane in a form of their own: the planner, when it last counted, may have seen but one account.
_LEASE_TURNS: Final = f"""
WITH r AS (SELECT l.place, l.ready_at FROM (SELECT value ->> 0 AS account, value ->> 1 AS pool,
    CAST(value ->> 2 AS smallint) AS lane, CAST(value ->> 3 AS integer) AS count,
    value ->> 4 AS destination FROM json_each(?) LIMIT ?) AS j,
    LATERAL (SELECT n.ctid AS place, n.ready_at FROM delivery AS n WHERE n.state = 0
    AND {{of}} AND n.pool = j.pool AND n.account = j.account AND n.ready_at <= ?
    ORDER BY n.ready_at LIMIT j.count FOR UPDATE SKIP LOCKED) AS l)
UPDATE delivery AS d SET state = 1, leases = d.leases + 1, ready_at = ?, worker = ?
FROM r, submission AS s WHERE d.ctid = r.place AND s.id = d.submission_id
RETURNING {QUEUE_COLUMNS}, r.ready_at
"""  # noqa: S608 - our own column names
_LEASE_OF_ACCOUNTS: Final = _LEASE_TURNS.format(of="+n.lane = j.lane")
_LEASE_OF_PAIRS: Final = _LEASE_TURNS.format(
    of="abs(n.lane) = j.lane AND n.destination = j.destination"
)
_LEASE_THESE: Final = f"""
WITH r AS (SELECT ctid AS place FROM delivery WHERE +state = 0
    AND id IN (SELECT value FROM json_each(?)) ORDER BY id FOR UPDATE SKIP LOCKED)
UPDATE delivery AS d SET state = 1, leases = d.leases + 1, ready_at = ?, worker = ?
FROM r, submission AS s WHERE d.ctid = r.place AND s.id = d.submission_id
RETURNING {QUEUE_COLUMNS}
"""  # noqa: S608 - our own column names
#: LIMIT tells the planner how many there are, and "+" keeps it from an index by which it would go
#: through all that anybody has leased: when it last counted, there may have been few.
_HELD: Final = (
    "(SELECT value ->> 0 AS id, CAST(value ->> 1 AS integer) AS fence FROM json_each(?) LIMIT ?)"
    " AS j"
)
_IS_HELD: Final = "delivery.id = j.id AND +delivery.state = 1 AND delivery.leases = j.fence"
_LAST_HANDED: Final = (
    f"SELECT delivery.id, delivery.submission_id, delivery.state FROM delivery JOIN {_HELD}"  # noqa: S608
    " ON delivery.id = j.id AND delivery.leases = j.fence"
    " ORDER BY delivery.id FOR UPDATE OF delivery"
)
_BEGIN: Final = (
    f"UPDATE delivery SET attempts = attempts + 1 FROM {_HELD} WHERE {_IS_HELD}"  # noqa: S608
    " RETURNING delivery.id"
)
_WITHDRAW: Final = (
    f"UPDATE delivery SET attempts = greatest(attempts - 1, 0) FROM {_HELD} WHERE {_IS_HELD}"  # noqa: S608
)
_RENEW: Final = (
    f"UPDATE delivery SET ready_at = ? FROM {_HELD} WHERE {_IS_HELD} RETURNING delivery.id"  # noqa: S608
)
_KNOWN: Final = "SELECT id FROM submission WHERE id IN (SELECT value FROM json_each(?))"
_KNOW: Final = "UPDATE presence SET knows = ?1 WHERE worker = ?2 AND knows IS DISTINCT FROM ?1"  # for `upgrade`
_NEWS: Final = (
    "UPDATE counter SET value = value + 1 WHERE name = 'news'",
    "SELECT pg_notify('gatepost', '')",
)


class PostgresTransaction(OwnReading):
    """`Transaction` for all jobs of one batch. `places` are the contents that came with them."""

    settled_events: ClassVar[str] = ""  # its own events are its own to see
    for_update: ClassVar[str] = " FOR UPDATE"

    def __init__(
        self,
        pending: PostgresPending,
        places: Mapping[SubmissionId, Kept],
        connection: Connection,
        ahead: int,
        swept: Swept,
    ) -> None:
        super().__init__(connection, ahead, pending)
        self._swept = swept
        self._places = places
        self._known: set[str] = set()
        #: Others are to hear of it at once.
        self.told = False
        self.traces = Traces()

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        self._pending.flush()
        return super()._rows(sql, bindings)

    def _run(self, sql: str, bindings: Iterable[Any] = ()) -> None:
        self._change_later(sql, bindings)

    def _change(self, sql: str, bindings: Iterable[Any] = ()) -> int:
        done = self._change_later(sql, bindings)
        return self._connection.answered(done).rowcount

    def _change_later(self, sql: str, bindings: Iterable[Any]) -> Cursor:
        self._pending.flush()
        said = statement(sql)
        self.told |= said.told
        return self._connection.execute(said.text, values(said, bindings))

    def look_for_known(self) -> None:
        """Find out which messages of this batch are there already."""
        if self._places:
            rows = self._rows(_KNOWN, (as_json(list(self._places)),))
            self._known = {row[0] for row in rows}

    def run(self, job: Callable[[Transaction], T]) -> T:
        """Run one of the jobs, and note where its leases end."""
        result = job(self)
        self.traces.marks.append(len(self.traces.grants))
        return result

    def flush(self) -> None:
        """Write what waits."""
        self._pending.flush()
        self.traces.submission = self._pending.added

    def tell(self) -> None:
        """Let others know, as the last thing: whoever commits news waits for who does already."""
        for sql in _NEWS:
            self._run(sql)

    def execute(self, sql: str, bindings: Iterable[Any] = ()) -> int:
        """Run a statement of housekeeping; return how many rows it changed."""
        return self._change(sql, bindings)

    # -- the queue
    def _is_known(self, submission_id: SubmissionId) -> bool:
        if submission_id in self._known:
            return True
        if submission_id in self._places:
            return False
        return self.submission(submission_id) is not None

    def add_deliveries(
        self, submission: Submission, deliveries: Sequence[Delivery], lease: Lease | None = None
    ) -> list[Leased]:
        """Add a submission with its deliveries; hand the due ones over with `lease`."""
        leased = super().add_deliveries(submission, deliveries, lease)
        if lease is not None:
            self.traces.granted(leased, lease.worker)
        return leased

    def _queued(self, *, handed_over: bool) -> None:
        self.told |= not handed_over

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
        leased: list[Leased] = []
        for state in (DUE, LEASED) if ended else (DUE,):
            leased += self._lease(state, now, lease, limit - len(leased), room)
        return leased

    def lease_turns(self, now: datetime, lease: Lease, turns: Sequence[Turn]) -> list[Leased]:
        """Lease what is due of these."""
        leased: list[Leased] = []
        for sql, some in (
            (_LEASE_OF_ACCOUNTS, [turn for turn in turns if turn.destination is None]),
            (_LEASE_OF_PAIRS, [turn for turn in turns if turn.destination is not None]),
        ):
            if some:
                at, until = self._stored(now), self._stored(lease.until)
                wanted = (_turns_json(some), len(some), at, until, lease.worker)
                leased += self._in_order(self._rows(sql, wanted), lease)
        return leased

    def lease_these(self, ids: Sequence[DeliveryId], lease: Lease) -> list[Leased]:
        """Lease those among these that are due."""
        wanted = (as_json(list(ids)), self._stored(lease.until), lease.worker)
        return self._handed_out(self._rows(_LEASE_THESE, wanted), lease)

    def lease_ended(
        self, now: datetime, lease: Lease, *, limit: int, within: Mapping[Lane, int]
    ) -> list[Leased]:
        """Lease what others had leased."""
        return self._lease(LEASED, now, lease, limit, dict(within))

    def _leased(self, asked: tuple[int, int, int], share: Share, lease: Lease) -> list[Leased]:
        state, at, floor = asked
        wanted = (
            state,
            LANE_NUMBERS[share.lane],
            share.pool,
            at,
            floor,
            share.count,
            self._stored(lease.until),
            lease.worker,
        )
        return self._in_order(self._rows(_LEASE, wanted), lease)

    def _in_order(self, rows: Iterable[Row], lease: Lease) -> list[Leased]:
        return self._handed_out(sorted(rows, key=lambda row: (row[-1], row[0])), lease)

    def _handed_out(self, rows: Iterable[Row], lease: Lease) -> list[Leased]:
        leased = known(rows, self._as_leased)
        self.traces.granted(leased, lease.worker)
        return leased

    def _as_leased(self, row: Row) -> Leased:
        """Return what is handed out, with its times as our clock has them."""
        delivery = delivery_of(row)
        if self.ahead:
            ahead = timedelta(microseconds=self.ahead)
            delivery = replace(
                delivery,
                next_attempt_at=delivery.next_attempt_at - ahead,
                expires_at=delivery.expires_at - ahead,
            )
        return Leased(delivery, submission_of(row[DELIVERY_WIDTH:]), delivery.leases)

    def _lease(
        self, state: int, now: datetime, lease: Lease, limit: int, room: dict[Lane, int]
    ) -> list[Leased]:
        """Lease what is ready in a state, the most urgent lane first; `room` shrinks."""
        at = self._stored(now)
        floor = self._swept.floor(lease.pools, at) if state == LEASED else 0
        asked = (state, at, limit, floor, *lease.pools)
        counts = next(self._rows(of_each(_HOW_MANY, len(lease.pools), after=4), asked))
        if state == LEASED and limit and not any(counts):
            self._swept.is_clear(lease.pools, at)
        leased: list[Leased] = []
        for share in dealt(limit, counts, room, lease.pools):
            rows = self._leased((state, at, floor), share, lease)
            leased += rows
            room[share.lane] -= len(rows)
        return leased

    def begin_attempts(self, held: Iterable[Held]) -> set[DeliveryId]:
        """Count an attempt for each delivery still held."""
        return {row[0] for row in self._rows(_BEGIN, _bound(held))}

    def renew(self, held: Iterable[Held], until: datetime) -> set[DeliveryId]:
        """Prolong leases."""
        return {row[0] for row in self._rows(_RENEW, (self._stored(until), *_bound(held)))}

    def withdraw_attempts(self, held: Sequence[Held]) -> None:
        """Take back attempts that were not made."""
        self._run(_WITHDRAW, _bound(held))

    def free_leases(self, worker_prefix: str) -> int:
        """Make due what workers whose id begins so held."""
        freed = super().free_leases(worker_prefix)
        self.told |= freed > 0
        return freed

    def _last_handed(self, held: Iterable[Held]) -> list[Row]:
        wanted = list(held)
        return list(self._rows(_LAST_HANDED, _bound(wanted))) if wanted else []

    def beat(self, announcement: Announcement) -> Beat:
        """Note that a worker is alive, and how new its program is."""
        beat = super().beat(announcement)
        self._run(_KNOW, (len(VERSIONS), announcement.worker))
        return beat

    def recall(self, subject: Subject, by: WorkerId) -> None:
        """Mark the leases of all other workers on a subject; they hear of it."""
        super().recall(subject, by)
        self.told = True

    def count_bulk(self, counts: Iterable[BulkCount]) -> list[BulkCount]:
        """Add to the counts, in an order that is everybody's."""
        wanted = list(counts)
        order = sorted(
            range(len(wanted)), key=lambda n: (wanted[n].day, wanted[n].provider, wanted[n].domain)
        )
        totals = dict(zip(order, super().count_bulk([wanted[n] for n in order]), strict=True))
        return [totals[n] for n in range(len(wanted))]


def _turns_json(turns: Iterable[Turn]) -> str:
    return as_json(
        [
            (
                turn.account,
                turn.line.pool,
                LANE_NUMBERS[turn.line.lane],
                turn.count,
                turn.destination,
            )
            for turn in turns
        ]
    )


def _bound(held: Iterable[Held]) -> tuple[str, int]:
    """Return the values of _HELD."""
    pairs = sorted((one.id, one.fence) for one in held)
    return as_json(pairs), len(pairs)
