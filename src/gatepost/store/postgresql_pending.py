"""What a batch wants written, in PostgreSQL: statements that nobody waits for the answer of.

An event's position is the number of its transaction and its own number in it, above an offset that
is raised when a database is restored into a server that counts from the beginning. A reader goes no
further than the oldest transaction that still writes (`postgresql_reading`): so an event that is
committed late is behind no reader, and nobody waits in turn for a counter.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from gatepost.model.ids import SubmissionId
from gatepost.model.quota import Subject, Tally
from gatepost.store.days import day_of
from gatepost.store.pending import Pending, length
from gatepost.store.postgresql_reading import POSITION_BITS
from gatepost.store.postgresql_schema import day_table_statements, lock_number
from gatepost.store.quota_table import LEASES, TALLIES, Standing, tally_row, write_spendings
from gatepost.store.rows import (
    DELIVERY_COLUMNS,
    EVENT_COLUMNS,
    QUEUED_COLUMNS,
    SUBMISSION_COLUMNS,
    Row,
    as_json,
)
from gatepost.store.statements import ROWS, upsert

#: Octets of content in one row.
PIECE: Final = 512 * 1024

_INSERT_SUBMISSION: Final = f"INSERT INTO submission ({SUBMISSION_COLUMNS}) VALUES {ROWS}"  # noqa: S608
_INSERT_CONTENT: Final = (
    f"INSERT INTO content (submission_id, length, crc, pieces, octets) VALUES {ROWS}"  # noqa: S608
)
_INSERT_MORE: Final = f"INSERT INTO content_more (submission_id, number, octets) VALUES {ROWS}"  # noqa: S608
_INSERT_DELIVERY: Final = f"INSERT INTO delivery ({QUEUED_COLUMNS}) VALUES {ROWS}"  # noqa: S608
_INSERT_EVENT: Final = f"INSERT INTO event_{{day}} ({EVENT_COLUMNS}, tag) VALUES {ROWS}"  # noqa: S608
_INSERT_NOTICE: Final = upsert("notice", "delivery_id, kind, submission_id", "delivery_id, kind")
_POSITION: Final = f"(pg_current_xact_id()::text::bigint << {POSITION_BITS}) + ?"

#: LIMIT, here and below, tells the planner how many there are.
_AGAIN: Final = """
UPDATE delivery SET state = j.state,
    ready_at = CASE WHEN j.state = 2 THEN NULL ELSE coalesce(j.at, delivery.next_attempt_at) END,
    next_attempt_at = coalesce(j.at, delivery.next_attempt_at),
    outcome = coalesce(j.outcome, delivery.outcome), reason = j.reason,
    warned = greatest(delivery.warned, j.warned), worker = NULL
FROM (SELECT value ->> 0 AS id, CAST(value ->> 1 AS smallint) AS state,
    CAST(value ->> 2 AS bigint) AS at, value ->> 3 AS outcome, value ->> 4 AS reason,
    CAST(value ->> 5 AS smallint) AS warned FROM json_each(?) LIMIT ?) AS j
WHERE delivery.id = j.id
"""
_D: Final = ", ".join(f"d.{column.strip()}" for column in DELIVERY_COLUMNS.split(","))
_FINISH: Final = f"""
WITH j AS MATERIALIZED (SELECT value ->> 0 AS id, CAST(value ->> 1 AS smallint) AS state,
    value ->> 2 AS outcome, value ->> 3 AS reason, CAST(value ->> 4 AS smallint) AS warned
    FROM json_each(?) LIMIT ?),
d AS (DELETE FROM delivery USING j WHERE delivery.id = j.id RETURNING delivery.*)
INSERT INTO delivery_{{day}} ({DELIVERY_COLUMNS})
SELECT d.id, d.submission_id, d.forward_path, d.destination, d.next_attempt_at, d.expires_at,
    j.state, d.attempts, d.leases, coalesce(j.outcome, d.outcome), j.reason,
    greatest(d.warned, j.warned), d.lane, d.notify, d.orcpt
FROM d JOIN j ON j.id = d.id ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - our own column names

_SETTLED: Final = "IN (SELECT value FROM json_each(?))"
#: Two workers that settle the last deliveries of a message must see each other.
_LOCK_SUBMISSIONS: Final = f"SELECT 1 FROM submission WHERE id {_SETTLED} ORDER BY id FOR UPDATE"  # noqa: S608
_NO_MORE: Final = " AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.submission_id = {table})"
_NO_NOTICE: Final = (
    " AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.submission_id = content.submission_id)"
)
#: Once: on the day of its last delivery it is forgotten; a report may be struck out on the next one.
_MARK_FINISHED: Final = (
    f"UPDATE submission SET finished_at = ? WHERE id {_SETTLED} AND finished_at IS NULL"  # noqa: S608
    + _NO_MORE.format(table="submission.id")
)
_KEEP_CAPTURED: Final = (
    "UPDATE content SET keep_until = greatest(coalesce(keep_until, 0), ?)"  # noqa: S608
    f" WHERE submission_id {_SETTLED}"
)
_KEEP_WHILE: Final = _KEEP_CAPTURED + _NO_MORE.format(table="content.submission_id") + _NO_NOTICE
#: Deletes contents by a condition, with all their pieces; a row for each content.
DROP_CONTENT: Final = (
    "WITH gone AS (DELETE FROM content WHERE {condition} RETURNING submission_id, pieces),"
    " more AS (DELETE FROM content_more USING gone WHERE gone.pieces > 1"
    " AND content_more.submission_id = gone.submission_id) SELECT 1 FROM gone"
)
_LET_GO: Final = DROP_CONTENT.format(
    condition=f"submission_id {_SETTLED} AND keep_until IS NULL"
    + _NO_MORE.format(table="content.submission_id")
    + _NO_NOTICE
)
_ADD_TALLIES: Final = (
    f"INSERT INTO quota (subject, counts, warned, changed_at) VALUES {ROWS}"  # noqa: S608
    " ON CONFLICT (subject) DO NOTHING"
)
_LOCK_TALLIES: Final = f"{TALLIES} ORDER BY subject FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Kept:
    """Content that is ready to be written: pieces of PIECE octets, their sum's length and CRC-32."""

    pieces: tuple[bytes, ...]
    length: int
    crc: int


def kept(pieces: Sequence[bytes]) -> Kept:
    """Return content as it will be written."""
    octets = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    cut = tuple(octets[at : at + PIECE] for at in range(0, len(octets), PIECE)) or (b"",)
    return Kept(cut, len(octets), zlib.crc32(octets))


Execute = Callable[[str, Iterable[Any]], Iterator[Row]]


@dataclass(slots=True)
class PostgresPending(Pending):
    """Rows that wait for `flush`. `execute` runs a statement; `base` is added to positions."""

    execute: Execute
    base: int
    #: A message that is stored.
    added: SubmissionId | None = None
    _written: int = 0

    def add_submission(self, row: Row, place: object | None) -> None:
        """Add a submission and its content."""
        self.added = row[0]
        Pending.add_submission(self, row, place)

    def flush(self) -> None:
        """Write all of it. Raises psycopg.Error, or a later statement will."""
        if self._submissions or self._deliveries:
            self._insert(_INSERT_SUBMISSION, self._submissions)
            self._flush_contents()
            self._insert(_INSERT_DELIVERY, self._deliveries)
            self._submissions, self._contents, self._deliveries = [], [], []
        if self._again:
            again = sorted(self._again, key=itemgetter(0))
            self.execute(_AGAIN, (as_json(again), len(again)))
            self._again = []
        if self._notices:
            self._insert(_INSERT_NOTICE, self._notices)
            self._notices = []
        if self._finished:
            day = day_of(self.now)
            self._need_table("delivery", day)
            finished = (as_json(self._finished), len(self._finished))
            self.execute(_FINISH.format(day=day), finished)
            self._finished = []
        if self._settled:
            self._flush_settled()
        if self._events:
            self._flush_events()
        if self._spendings:
            write_spendings(self._standing, self.execute, self._spendings)
            self._spendings = []
        self.touched.clear()

    def _flush_contents(self) -> None:
        first = [(of, k.length, k.crc, len(k.pieces), k.pieces[0]) for of, k in self._contents]
        self._insert(_INSERT_CONTENT, first)
        for of, one in self._contents:
            for number, piece in enumerate(one.pieces[1:], 1):
                self.execute(_INSERT_MORE.replace(ROWS, "(?, ?, ?)"), (of, number, piece))

    def _flush_settled(self) -> None:
        settled = as_json(sorted(self._settled))
        self.execute(_LOCK_SUBMISSIONS, (settled,))
        if self._captured:
            until = self.now + length(self.keeping.captured)
            self.execute(_KEEP_CAPTURED, (until, as_json(sorted(self._captured))))
            self._captured = set()
        self.execute(_MARK_FINISHED, (self.now, settled))
        if self.keeping.content:
            self.execute(_KEEP_WHILE, (self.now + length(self.keeping.content), settled))
        else:
            self.execute(_LET_GO, (settled,))
        self._settled = set()

    def _flush_events(self) -> None:
        count = self._written + len(self._events)
        if count >= 1 << POSITION_BITS:
            msg = f"{count} events in one transaction"
            raise OverflowError(msg)
        for day, rows in self._events_by_day(self.base + self._written).items():
            self._need_table("event", day)
            tagged = [(*row, _tag(row)) for row in rows]
            self._insert(_INSERT_EVENT.replace("{day}", day), tagged, first=_POSITION)
        self._written = count
        self._events = []

    def lock_tallies(self, subjects: Sequence[Subject]) -> Iterable[Row]:
        """Return the rows of subjects, which are nobody else's until the commit."""
        return self._own_tallies(self.execute(_LOCK_TALLIES, (as_json(list(subjects)),)), subjects)

    def _standing(self, subjects: list[Subject]) -> Standing:
        some = (as_json(subjects),)
        locked = self.execute(_LOCK_TALLIES, some)
        leases = self.execute(LEASES, some)  # travels with it, and sees what the last holder left
        return Standing(self._own_tallies(locked, subjects), leases)

    def _own_tallies(self, locked: Iterable[Row], subjects: Sequence[Subject]) -> Iterable[Row]:
        found = list(locked)
        known = {row[0] for row in found}
        if new := [subject for subject in subjects if subject not in known]:
            self._insert(_ADD_TALLIES, [tally_row(Tally(subject), self.now) for subject in new])
            found += self.execute(_LOCK_TALLIES, (as_json(new),))
        return found

    def _need_table(self, kind: str, day: str) -> None:
        table = f"{kind}_{day}"
        if table not in self.known_tables:
            make_day_table(self.execute, kind, day)
            self.known_tables.add(table)

    def _insert(self, sql: str, rows: Sequence[Row], *, first: str = "?") -> None:
        """Insert rows of equal width, many to a statement."""
        start = 0
        for count in (64, 16, 4, 1):
            while len(rows) - start >= count:
                some = rows[start : start + count]
                bound = [value for each in some for value in each]
                self.execute(_filled(sql, first, len(some[0]), count), bound)
                start += count


@lru_cache(maxsize=256)
def _filled(sql: str, first: str, width: int, count: int) -> str:
    row = f"({', '.join((first, *'?' * (width - 1)))})"
    return sql.replace(ROWS, ", ".join([row] * count))


def make_day_table(execute: Execute, kind: str, day: str) -> None:
    """Make a daily table, one at a time: IF NOT EXISTS alone does not keep two from colliding."""
    execute("SELECT pg_advisory_xact_lock(?)", (lock_number("days"),))
    for each in day_table_statements(kind, day):
        execute(each, ())


def _tag(row: Row) -> str | None:
    """Return the tag of a refused login, by which `explain` asks."""
    if row[1] != "login.refused":
        return None
    tag = json.loads(row[6]).get("tag")
    return tag if isinstance(tag, str) else None
