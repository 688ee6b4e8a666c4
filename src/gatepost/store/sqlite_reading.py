"""The questions that only SQLite answers so, and where contents lie in segments."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from gatepost.model.ids import SubmissionId
from gatepost.store.days import day_tables
from gatepost.store.queries import Queries
from gatepost.store.rows import Row
from gatepost.store.segments import Place, read_content
from gatepost.store.sqlite_schema import DAY_TABLES


class SqliteReading(Queries):
    """`Reading` over one connection, inside a transaction that somebody else began and ends."""

    def __init__(self, connection: apsw.Connection, directory: Path) -> None:
        self._connection = connection
        self.directory = directory

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        return self._connection.execute(sql, tuple(bindings))

    def time(self) -> datetime:
        """Return the store's time: one node has one clock."""
        return datetime.now(UTC)

    def rows(self, sql: str, bindings: Iterable[Any] = ()) -> list[Row]:
        """Return the rows of a question that only housekeeping and `verify` ask."""
        return list(self._rows(sql, bindings))

    def days(self, kind: str) -> list[str]:
        """Return the daily tables of a kind ("delivery" or "event"), oldest first."""
        return day_tables(self._rows(DAY_TABLES, (f"{kind}_", f"{kind}`")))

    def content(self, submission_id: SubmissionId) -> bytes | None:
        """Return the stored octets.

        Raises:
            ContentDamagedError: the checksum does not hold.
            SegmentGoneError: the snapshot is older than the move of this content.

        """
        place = self.place(submission_id)
        return None if place is None else read_content(self.directory, place)

    def place(self, submission_id: SubmissionId) -> Place | None:
        """Return where content lies."""
        sql = "SELECT segment, offset, length, crc FROM content WHERE submission_id = ?"
        row = self._row(sql, (submission_id,))
        return None if row is None else Place(*row)
