"""What a batch of jobs wants written and needs no answer to: gathered, then written at once.

Every step of a statement gives the GIL away and has to win it back from a busy event loop, so the
count of steps matters more than the count of rows: inserts go many rows to a statement, changes by
id go as one statement over a JSON list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import apsw

from gatepost.model.quota import Subject
from gatepost.store.days import day_of
from gatepost.store.pending import Pending, length
from gatepost.store.quota_table import LEASES, TALLIES, Standing, write_spendings
from gatepost.store.rows import (
    DELIVERY_COLUMNS,
    EVENT_COLUMNS,
    QUEUED_COLUMNS,
    SUBMISSION_COLUMNS,
    Row,
    as_json,
)
from gatepost.store.sqlite_schema import make_day_table
from gatepost.store.statements import ROWS, upsert

_INSERT_SUBMISSION: Final = f"INSERT INTO submission ({SUBMISSION_COLUMNS}) VALUES "  # noqa: S608
_INSERT_CONTENT: Final = "INSERT INTO content (submission_id, segment, offset, length, crc) VALUES "
_INSERT_DELIVERY: Final = f"INSERT INTO delivery ({QUEUED_COLUMNS}) VALUES "  # noqa: S608
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
_LAST: Final = "SELECT value FROM counter WHERE name = 'event'"
_COUNT: Final = "UPDATE counter SET value = ? WHERE name = 'event'"
_COUNT_SETTLED: Final = "UPDATE counter SET value = ? WHERE name IN ('event', 'settled')"

_NO_MORE: Final = """
    AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.submission_id = {table})
"""
_NO_NOTICE: Final = """
    AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.submission_id = content.submission_id)
"""
#: Once: on the day of its last delivery it is forgotten; a report may be struck out on the next one.
_MARK_FINISHED: Final = (
    "UPDATE submission SET finished_at = ? WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    " AND finished_at IS NULL" + _NO_MORE.format(table="submission.id")
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


@dataclass(slots=True)
class SqlitePending(Pending):
    """Rows that wait for `flush`, in SQLite."""

    connection: apsw.Connection
    #: Whether the commit will be synced: then all events are settled with it, so may be told on.
    syncs: bool = True
    #: Of the last event that was written; 0: none was.
    position: int = 0

    def flush(self) -> None:
        """Write all of it. Raises apsw.Error."""
        connection = self.connection
        if self._submissions or self._deliveries:
            insert_rows(connection, _INSERT_SUBMISSION, self._submissions)
            contents = [(of, p.segment, p.offset, p.length, p.crc) for of, p in self._contents]
            insert_rows(connection, _INSERT_CONTENT, contents)
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
            connection = self.connection
            write_spendings(self._standing, connection.execute, self._spendings)
            self._spendings = []
        self.touched.clear()

    def _standing(self, subjects: list[Subject]) -> Standing:
        some, ask = (as_json(subjects),), self.connection.execute
        return Standing(ask(TALLIES, some), ask(LEASES, some))

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
            until = self.now + length(self.keeping.captured)
            connection.execute(_KEEP_CAPTURED, (until, as_json(list(self._captured))))
            self._captured = set()
        settled = as_json(list(self._settled))
        connection.execute(_MARK_FINISHED, (self.now, settled))
        if self.keeping.content:
            until = self.now + length(self.keeping.content)
            connection.execute(_KEEP_WHILE, (until, settled))
        else:
            connection.execute(_LET_GO, (settled,))
        self._settled = set()

    def _flush_events(self) -> None:
        connection = self.connection
        position = connection.execute(_LAST).get
        for day, rows in self._events_by_day(position).items():
            self._need_table("event", day)
            insert_rows(connection, _INSERT_EVENT.format(day=day), rows)
        self.position = position + len(self._events)
        connection.execute(_COUNT_SETTLED if self.syncs else _COUNT, (self.position,))
        self._events = []

    def settle_events(self) -> None:
        """Settle the events of earlier commits, ours or others', if this one has none. Raises
        apsw.Error.
        """
        if not self.position:
            self.position = self.connection.execute(_LAST).get
            self.connection.execute(_COUNT_SETTLED, (self.position,))

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
    # Powers of two: fifteen rows are four statements, and each one gives the GIL away.
    for count in (64, 32, 16, 8, 4, 2, 1):
        while len(rows) - start >= count:
            some = rows[start : start + count]
            values = [value for row in some for value in row]
            connection.execute(_statement(head, len(some[0]), count), values)
            start += count


@lru_cache(maxsize=256)
def _statement(head: str, width: int, count: int) -> str:
    row = f"({','.join('?' * width)})"
    before, _, behind = head.partition(ROWS)
    return before + ",".join([row] * count) + behind
