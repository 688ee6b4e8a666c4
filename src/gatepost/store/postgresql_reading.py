"""The questions that only PostgreSQL answers so, and contents, which are in rows of its own."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from gatepost.model.ids import SubmissionId
from gatepost.model.lane import LANES, Lane
from gatepost.store.days import day_tables
from gatepost.store.leases import ANY_NODE
from gatepost.store.postgresql_connection import Connection, Cursor
from gatepost.store.postgresql_words import statement, values
from gatepost.store.protocols import ContentDamagedError
from gatepost.store.queries import Queries
from gatepost.store.rows import Row, moment

#: Transactions get numbers as they begin to write; an event's position is its transaction's number
#: and its own number in it. So many bits for the latter.
POSITION_BITS: Final = 22
#: Events of transactions that are older than any that still writes: none will come before them.
_SETTLED: Final = (
    f" AND position <= (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << {POSITION_BITS})"  # noqa: S608
    " + (SELECT value FROM counter WHERE name = 'event')"
)
DAY_TABLES: Final = (
    "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname > ? AND relname < ?"
    " AND relnamespace = current_schema()::regnamespace ORDER BY relname"
)
_CONTENT: Final = b"SELECT length, crc, pieces, octets FROM content WHERE submission_id = $1"
_WHOLE: Final = (
    b"SELECT submission_id, length, crc, octets FROM content"
    b" WHERE submission_id = ANY ($1::text[]) AND pieces = 1"
)
_MORE: Final = b"SELECT octets FROM content_more WHERE submission_id = $1 ORDER BY number"

_STRAY: Final = (
    "SELECT DISTINCT submission_id FROM content_more AS m WHERE NOT EXISTS"
    " (SELECT 1 FROM content AS c WHERE c.submission_id = m.submission_id) LIMIT 100"
)


class PostgresReading(Queries):
    """`Reading` over one connection, inside a transaction that somebody else began and ends."""

    tag: ClassVar[str] = "tag"
    last_host: ClassVar[str] = "d.outcome::json ->> 4"
    settled_events: ClassVar[str] = _SETTLED
    lane_of_account: ClassVar[str] = "+n.lane"
    lane_of_turn: ClassVar[str] = "abs(n.lane)"

    def __init__(self, connection: Connection, ahead: int = 0) -> None:
        """`ahead`: microseconds that the database's clock is ahead of ours."""
        self._connection = connection
        self.ahead = ahead

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        return self._connection.rows(self._execute(sql, bindings))

    def _execute(self, sql: str, bindings: Iterable[Any]) -> Cursor:
        said = statement(sql)
        return self._connection.execute(said.text, values(said, bindings))

    def rows(self, sql: str, bindings: Iterable[Any] = ()) -> list[Row]:
        """Return the rows of a question that only housekeeping and `verify` ask."""
        return list(self._rows(sql, bindings))

    def time(self) -> datetime:
        """Return the database's time, whatever ours is."""
        now = self._row("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")
        return moment(now[0] if now else 0)

    def days(self, kind: str) -> list[str]:
        """Return the daily tables of a kind ("delivery" or "event"), oldest first."""
        return day_tables(self._rows(DAY_TABLES, (f"{kind}_", f"{kind}`")))

    def next_due_at(
        self, lanes: Iterable[Lane] = LANES, pools: Sequence[str] = ANY_NODE
    ) -> datetime | None:
        """Return when the next delivery falls due by our clock, or the next lease ends."""
        due_at = super().next_due_at(lanes, pools)
        return None if due_at is None else due_at - timedelta(microseconds=self.ahead)

    def content(self, submission_id: SubmissionId) -> bytes | None:
        """Return the stored octets. Raises ContentDamagedError."""
        connection = self._connection
        found = connection.execute(_CONTENT, (submission_id,), binary=True)
        row = connection.answered(found).fetchone()
        if row is None:
            return None
        length, crc, pieces, octets = row
        if pieces > 1:
            more = connection.execute(_MORE, (submission_id,), binary=True)
            octets = b"".join((octets, *(piece for (piece,) in connection.rows(more))))
        if len(octets) != length or zlib.crc32(octets) != crc:
            msg = f"content of {submission_id} does not match its checksum"
            raise ContentDamagedError(msg)
        return bytes(octets)

    # -- for `verify`
    def faults(self) -> list[str]:
        """Return pieces of contents that are there without a beginning."""
        found = self.rows(_STRAY)
        return [f"content of {row[0]} has lost its beginning" for row in found]

    def content_page(self, after: str, limit: int) -> list[Row]:
        """Return of which messages contents are kept, in order, behind one, and their octets."""
        sql = (
            "SELECT submission_id, length FROM content WHERE submission_id > ?"
            " ORDER BY submission_id LIMIT ?"
        )
        return self.rows(sql, (after, limit))

    def damaged(self, submission_ids: Sequence[str]) -> Iterator[str]:
        """Read some contents, those of one piece at once; yield what is wrong."""
        whole = self._connection.execute(_WHOLE, (list(submission_ids),), binary=True)
        seen = set()
        for name, length, crc, octets in whole:
            seen.add(name)
            if len(octets) != length or zlib.crc32(octets) != crc:
                yield f"{name} is damaged or missing: it does not match its checksum"
        for name in submission_ids:
            if name not in seen:
                try:
                    self.content(SubmissionId(name))
                except ContentDamagedError as error:
                    yield f"{name} is damaged or missing: {error}"
