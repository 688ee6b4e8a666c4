"""What a batch of jobs wants written and needs no answer to: gathered, then written at once.

Every step of a statement gives the GIL away and has to win it back from a busy event loop, so the
count of steps matters more than the count of rows: inserts go many rows to a statement, changes by
id go as one statement over a JSON list.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Final

import apsw

from gatepost.model.delivery import Delivery
from gatepost.model.event import Event
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.store.days import day_of
from gatepost.store.protocols import NoticeKind
from gatepost.store.quota_protocols import Spending
from gatepost.store.quota_table import write_spendings
from gatepost.store.rows import (
    DELIVERY_COLUMNS,
    EVENT_COLUMNS,
    HELD,
    LANE_NUMBERS,
    LEASED,
    NOTICE_NUMBERS,
    NUMBERS,
    SUBMISSION_COLUMNS,
    Row,
    as_json,
    event_row,
    microseconds,
    wishes_columns,
)
from gatepost.store.segments import Place
from gatepost.store.sqlite_schema import make_day_table
from gatepost.store.statements import ROWS, upsert

_INSERT_SUBMISSION: Final = f"INSERT INTO submission ({SUBMISSION_COLUMNS}) VALUES "  # noqa: S608
_INSERT_CONTENT: Final = "INSERT INTO content (submission_id, segment, offset, length, crc) VALUES "
_INSERT_DELIVERY: Final = f"INSERT INTO delivery ({DELIVERY_COLUMNS}, ready_at, worker) VALUES "  # noqa: S608
_INSERT_EVENT: Final = f"INSERT INTO event_{{day}} ({EVENT_COLUMNS}) VALUES "  # noqa: S608
_INSERT_NOTICE: Final = upsert("notice", "delivery_id, kind, submission_id", "delivery_id, kind")

_AGAIN: Final = """
UPDATE delivery SET state = j.state,
    ready_at = iif(j.state = 2, NULL, coalesce(j.at, delivery.next_attempt_at)),
    next_attempt_at = coalesce(j.at, delivery.next_attempt_at),
    outcome = coalesce(j.outcome, delivery.outcome), reason = j.reason,
    warned = max(delivery.warned, j.warned), worker = NULL
FROM (SELECT value ->> 0 AS id, value ->> 1 AS state, value ->> 2 AS at, value ->> 3 AS outcome,
    value ->> 4 AS reason, value ->> 5 AS warned FROM json_each(?)) AS j
WHERE delivery.id = j.id
"""
_FINISH: Final = f"""
INSERT OR REPLACE INTO delivery_{{day}} ({DELIVERY_COLUMNS})
SELECT d.id, d.submission_id, d.forward_path, d.destination, d.next_attempt_at, d.expires_at,
    j.value ->> 1, d.attempts, d.leases, coalesce(j.value ->> 2, d.outcome), j.value ->> 3,
    max(d.warned, j.value ->> 4), d.lane, d.notify, d.orcpt
FROM json_each(?) AS j CROSS JOIN delivery AS d ON d.id = j.value ->> 0
"""  # noqa: S608 - our own column names
_DELETE: Final = "DELETE FROM delivery WHERE id IN (SELECT value ->> 0 FROM json_each(?))"

_NO_MORE: Final = """
    AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.submission_id = {table})
"""
_NO_NOTICE: Final = """
    AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.submission_id = content.submission_id)
"""
_MARK_FINISHED: Final = (
    "UPDATE submission SET finished_at = ? WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    + _NO_MORE.format(table="submission.id")
)
_KEEP_CAPTURED: Final = (
    "UPDATE content SET keep_until = max(coalesce(keep_until, 0), ?)"
    " WHERE submission_id IN (SELECT value FROM json_each(?))"
)
_LET_GO: Final = (
    "DELETE FROM content WHERE submission_id IN (SELECT value FROM json_each(?))"  # noqa: S608
    " AND keep_until IS NULL" + _NO_MORE.format(table="content.submission_id") + _NO_NOTICE
)
_KEEP_WHILE: Final = _KEEP_CAPTURED + _NO_MORE.format(table="content.submission_id") + _NO_NOTICE


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long content stays after its last delivery is final, and when it was captured."""

    content: timedelta
    captured: timedelta


@dataclass(slots=True)
class Pending:
    """Rows that wait for `flush`. `touched` are the deliveries that it would change."""

    connection: apsw.Connection
    known_tables: set[str]
    now: int
    keeping: Keeping
    touched: set[DeliveryId] = field(default_factory=set)
    _submissions: list[Row] = field(default_factory=list)
    _contents: list[Row] = field(default_factory=list)
    _deliveries: list[Row] = field(default_factory=list)
    _again: list[Row] = field(default_factory=list)
    _finished: list[Row] = field(default_factory=list)
    _notices: list[Row] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _spendings: list[Spending] = field(default_factory=list)
    _captured: set[SubmissionId] = field(default_factory=set)
    _settled: set[SubmissionId] = field(default_factory=set)

    def add_submission(self, row: Row, place: Place | None) -> None:
        """Add a submission and where its content is."""
        self._submissions.append(row)
        if place is not None:
            self._contents.append((row[0], place.segment, place.offset, place.length, place.crc))

    def add_delivery(self, row: Row, delivery_id: DeliveryId) -> None:
        """Add a delivery: DELIVERY_COLUMNS, ready_at, worker."""
        self._deliveries.append(row)
        self.touched.add(delivery_id)

    def again(self, row: Row, delivery_id: DeliveryId) -> None:
        """Change a delivery: id, state, next attempt or None, outcome or None, reason, warned."""
        self._again.append(row)
        self.touched.add(delivery_id)

    def finish(
        self, row: Row, delivery_id: DeliveryId, submission_id: SubmissionId, *, captured: bool
    ) -> None:
        """Close a delivery: id, final state, outcome or None, reason, warned."""
        self._finished.append(row)
        self.touched.add(delivery_id)
        self._settled.add(submission_id)
        if captured:
            self._captured.add(submission_id)

    def notice(
        self, delivery_id: DeliveryId, submission_id: SubmissionId, kind: NoticeKind
    ) -> None:
        """Owe the sender a report."""
        self._notices.append((delivery_id, NOTICE_NUMBERS[kind], submission_id))

    def let_go(self, submission_id: SubmissionId) -> None:
        """Look whether a submission's content is still needed."""
        self._settled.add(submission_id)

    def add_events(self, events: Iterable[Event]) -> None:
        """Add events in order."""
        self._events += events

    def spend(self, spendings: Iterable[Spending]) -> None:
        """Count what was sent."""
        self._spendings += spendings

    def flush(self) -> None:
        """Write all of it. Raises apsw.Error."""
        connection = self.connection
        if self._submissions or self._deliveries:
            insert_rows(connection, _INSERT_SUBMISSION, self._submissions)
            insert_rows(connection, _INSERT_CONTENT, self._contents)
            insert_rows(connection, _INSERT_DELIVERY, self._deliveries)
            self._submissions, self._contents, self._deliveries = [], [], []
        if self._again:
            connection.execute(_AGAIN, (as_json(self._again),))
            self._again = []
        if self._notices:
            insert_rows(connection, _INSERT_NOTICE, self._notices)
            self._notices = []
        if self._finished:
            self._flush_finished()
        if self._settled:
            self._flush_settled()
        if self._events:
            self._flush_events()
        if self._spendings:
            write_spendings(self.connection.execute, self._spendings)
            self._spendings = []
        self.touched.clear()

    def _flush_finished(self) -> None:
        day = day_of(self.now)
        self._need_table("delivery", day)
        finished = as_json(self._finished)
        self.connection.execute(_FINISH.format(day=day), (finished,))
        self.connection.execute(_DELETE, (finished,))
        self._finished = []

    def _flush_settled(self) -> None:
        connection = self.connection
        if self._captured:
            until = self.now + _length(self.keeping.captured)
            connection.execute(_KEEP_CAPTURED, (until, as_json(list(self._captured))))
            self._captured = set()
        settled = as_json(list(self._settled))
        connection.execute(_MARK_FINISHED, (self.now, settled))
        if self.keeping.content:
            until = self.now + _length(self.keeping.content)
            connection.execute(_KEEP_WHILE, (until, settled))
        else:
            connection.execute(_LET_GO, (settled,))
        self._settled = set()

    def _flush_events(self) -> None:
        connection = self.connection
        position = connection.execute("SELECT value FROM counter WHERE name = 'event'").get
        by_day: dict[str, list[Row]] = {}
        for event in self._events:
            position += 1
            by_day.setdefault(_day(event), []).append(event_row(position, event))
        for day, rows in by_day.items():
            self._need_table("event", day)
            insert_rows(connection, _INSERT_EVENT.format(day=day), rows)
        connection.execute("UPDATE counter SET value = ? WHERE name = 'event'", (position,))
        self._events = []

    def _need_table(self, kind: str, day: str) -> None:
        table = f"{kind}_{day}"
        if table not in self.known_tables:
            make_day_table(self.connection, kind, day)
            self.known_tables.add(table)


def insert_rows(connection: apsw.Connection, head: str, rows: Sequence[Row]) -> None:
    """Insert rows of equal width, many to a statement; their place in it is its end, or ROWS.
    Raises apsw.Error.
    """
    start = 0
    for count in (64, 16, 4, 1):
        while len(rows) - start >= count:
            some = rows[start : start + count]
            values = [value for row in some for value in row]
            connection.execute(_statement(head, len(some[0]), count), values)
            start += count


def new_delivery_row(
    delivery: Delivery, outcome: str | None, lease_until: int | None, worker: str | None
) -> Row:
    """Return the row of a new delivery; `lease_until` hands it straight to `worker`."""
    next_attempt_at = microseconds(delivery.next_attempt_at)
    ready_at: int | None
    if lease_until is not None:
        state, leases, ready_at = LEASED, delivery.leases + 1, lease_until
    else:
        state, leases = NUMBERS[delivery.state], delivery.leases
        ready_at = None if state == HELD else next_attempt_at
    return (
        delivery.id,
        delivery.submission_id,
        delivery.forward_path,
        delivery.destination,
        next_attempt_at,
        microseconds(delivery.expires_at),
        state,
        delivery.attempts,
        leases,
        outcome,
        delivery.reason,
        int(delivery.warned),
        LANE_NUMBERS[delivery.lane],
        *wishes_columns(delivery.wishes),
        ready_at,
        worker,
    )


@lru_cache(maxsize=256)
def _statement(head: str, width: int, count: int) -> str:
    row = f"({','.join('?' * width)})"
    before, _, behind = head.partition(ROWS)
    return before + ",".join([row] * count) + behind


def _day(event: Event) -> str:
    at = event.at
    return f"{at.year:04d}{at.month:02d}{at.day:02d}"


def _length(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
