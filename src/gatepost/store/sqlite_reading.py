"""The questions that only SQLite answers so, and where contents lie in segments."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import apsw

from gatepost.model.ids import SubmissionId
from gatepost.store.content_identity import recognise
from gatepost.store.days import day_tables
from gatepost.store.protocols import ContentDamagedError, ContentUnreadableError
from gatepost.store.queries import Queries
from gatepost.store.rows import Row
from gatepost.store.segments import Place, SegmentGoneError, read_content
from gatepost.store.sqlite_schema import DAY_TABLES

_OVERLAP: Final = (
    "SELECT submission_id FROM (SELECT submission_id, offset, lag(offset + length)"
    " OVER (PARTITION BY segment ORDER BY offset) AS free_from FROM content WHERE length > 0)"
    " WHERE offset < free_from LIMIT 100"
)


class SqliteReading(Queries):
    """`Reading` over one connection, inside a transaction that somebody else began and ends."""

    #: A journal tells on only what no loss of power takes back.
    settled_events: ClassVar[str] = (
        " AND position <= (SELECT value FROM counter WHERE name = 'settled')"
    )

    def __init__(self, connection: apsw.Connection, directory: Path) -> None:
        self._connection = connection
        self.directory = directory

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        return self._connection.execute(sql, tuple(bindings))

    def time(self) -> datetime:
        """Return the store's time: one node has one clock."""
        return datetime.now(UTC)

    def settled_at(self) -> datetime | None:
        """Return the time of the last event that is known to be synced; None where it is gone."""
        ((position,),) = self._rows("SELECT value FROM counter WHERE name = 'settled'")
        last = self.events(after=position - 1, limit=1)
        return last[0].event.at if last else None

    def rows(self, sql: str, bindings: Iterable[Any] = ()) -> list[Row]:
        """Return the rows of a question that only housekeeping and `verify` ask."""
        return list(self._rows(sql, bindings))

    def days(self, kind: str) -> list[str]:
        """Return the daily tables of a kind ("delivery" or "event"), oldest first."""
        return day_tables(self._rows(DAY_TABLES, (f"{kind}_", f"{kind}`")))

    def content(self, submission_id: SubmissionId) -> bytes | None:
        """Return the stored octets.

        Raises:
            ContentAwayError: the directory of contents is not ours.
            ContentDamagedError: the checksum does not hold.
            SegmentGoneError: the snapshot is older than the move of this content.

        """
        place = self.place(submission_id)
        try:
            return None if place is None else read_content(self.directory, place)
        except SegmentGoneError:
            recognise(self.directory)
            raise

    def place(self, submission_id: SubmissionId) -> Place | None:
        """Return where content lies."""
        sql = "SELECT segment, offset, length, crc FROM content WHERE submission_id = ?"
        row = self._row(sql, (submission_id,))
        return None if row is None else Place(*row)

    # -- for `verify`
    def faults(self) -> list[str]:
        """Return what is wrong with the file, and contents that overlap."""
        found = [str(row[0]) for row in self.rows("PRAGMA quick_check(20)") if row[0] != "ok"]
        return found + [f"content of {row[0]} overlaps another" for row in self.rows(_OVERLAP)]

    def content_page(self, after: str, limit: int) -> list[Row]:
        """Return of which messages contents are kept, in order, behind one, and their octets."""
        sql = (
            "SELECT submission_id, length FROM content WHERE submission_id > ?"
            " ORDER BY submission_id LIMIT ?"
        )
        return self.rows(sql, (after, limit))

    def damaged(self, submission_ids: Sequence[str]) -> Iterator[str]:
        """Read some contents; yield what is wrong. Raises ContentAwayError."""
        reading = LastReading(self._connection, self.directory)
        for name in submission_ids:
            try:
                reading.content(SubmissionId(name))
            except ContentUnreadableError as error:
                yield f"{name} cannot be read: {error}"
            except ContentDamagedError as error:
                yield f"{name} is damaged or missing: {error}"


class LastReading(SqliteReading):
    """A reading that is not tried again: a segment that is not there has not moved, it is lost."""

    def content(self, submission_id: SubmissionId) -> bytes | None:
        """Return the stored octets. Raises ContentDamagedError."""
        try:
            return super().content(submission_id)
        except SegmentGoneError as error:
            msg = f"segment {error} is missing"
            raise ContentDamagedError(msg) from error
