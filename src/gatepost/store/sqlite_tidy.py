"""Housekeeping: retention, and segments that are garbage for the greater part.

Everything is done in small steps through the ordinary writer, so that mail goes on meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from gatepost.model.ids import SubmissionId
from gatepost.store import segments
from gatepost.store.days import table_day
from gatepost.store.group_commit import Content
from gatepost.store.protocols import ContentDamagedError
from gatepost.store.rows import Row, as_json, microseconds
from gatepost.store.segments import Place, SegmentGoneError, read_content
from gatepost.store.sqlite_reading import SqliteReading
from gatepost.store.sqlite_transaction import SqliteTransaction

_log = logging.getLogger(__name__)

#: Rows changed in one step.
_STEP: Final = 500
#: Segments younger than this (seconds) lose their content by themselves.
_SETTLED: Final = 600.0
#: Content is moved on when less than this share of a segment is needed, so many octets at once.
_NEEDED: Final = 0.5
_MOVE_OCTETS: Final = 8 * 2**20

_OUTLIVED: Final = (
    "DELETE FROM content WHERE submission_id IN (SELECT submission_id FROM content AS c"
    " WHERE c.keep_until <= ? AND NOT EXISTS"
    " (SELECT 1 FROM delivery AS d WHERE d.submission_id = c.submission_id) AND NOT EXISTS"
    " (SELECT 1 FROM notice AS n WHERE n.submission_id = c.submission_id) LIMIT ?)"
)
_FORGET_SUBMISSIONS: Final = (
    "DELETE FROM submission WHERE finished_at < ? AND id IN (SELECT value FROM json_each(?))"
    " AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.submission_id = submission.id)"
)


#: What was counted longer ago matters to no window (`model.quota`).
QUOTAS_KEPT: Final = timedelta(days=31)
#: A credential that wakes after a year is known still, and that it did nothing lately (its history is
#: some kilobytes at most).
_HISTORIES_KEPT: Final = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """One round of housekeeping. `ask` and `change` are the store's read and write."""

    directory: Path
    retention: timedelta
    ask: Callable[[Callable[[SqliteReading], Any]], Awaitable[Any]]
    change: Callable[[Callable[[Any], Any], Content | None], Awaitable[Any]]

    async def tidy(self, now: datetime) -> None:
        """Do all of it. Raises StoreUnavailableError."""
        await self._drop_outlived_content(now)
        await self._drop_days(now)
        await self._forget_quotas(now - QUOTAS_KEPT)
        await self._forget_histories(now - _HISTORIES_KEPT)
        await self._tidy_segments()

    async def _rows(self, sql: str, *bindings: object) -> list[Row]:
        rows: list[Row] = await self.ask(lambda reading: reading.rows(sql, bindings))
        return rows

    async def _execute(self, sql: str, *bindings: object) -> int:
        def job(transaction: SqliteTransaction) -> int:
            return transaction.execute(sql, bindings)

        changed: int = await self.change(job, None)
        return changed

    async def _drop_outlived_content(self, now: datetime) -> None:
        while await self._execute(_OUTLIVED, microseconds(now), _STEP) == _STEP:
            pass

    async def _drop_days(self, now: datetime) -> None:
        oldest = (now - self.retention).date()
        tables: list[str] = await self.ask(
            lambda reading: reading.days("delivery") + reading.days("event")
        )
        for table in tables:
            if table_day(table) >= oldest:
                continue
            if table.startswith("delivery"):
                await self._forget_submissions(table)
            await self._execute(f"DROP TABLE IF EXISTS {table}")
            _log.info("store: dropped %s", table)

    async def _forget_submissions(self, table: str) -> None:
        """Drop the submissions whose last delivery was finished on that day."""
        end = datetime.combine(table_day(table), time(), UTC) + timedelta(days=1)
        after = ""
        while True:
            sql = f"SELECT id, submission_id FROM {table} WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
            rows = await self._rows(sql, after, _STEP)
            if not rows:
                return
            ids = as_json(sorted({row[1] for row in rows}))
            await self._execute(_FORGET_SUBMISSIONS, microseconds(end), ids)
            after = rows[-1][0]

    async def _forget_quotas(self, before: datetime) -> None:
        sql = "SELECT 1 FROM quota WHERE changed_at < ? LIMIT 1"
        while await self._rows(sql, microseconds(before)):
            await self.change(lambda transaction: transaction.forget_quotas(before=before), None)

    async def _forget_histories(self, before: datetime) -> None:
        sql = "SELECT 1 FROM history WHERE changed_at < ? AND held_at IS NULL LIMIT 1"
        while await self._rows(sql, microseconds(before)):
            await self.change(lambda transaction: transaction.forget_histories(before=before), None)

    # -- segments
    async def _tidy_segments(self) -> None:
        await asyncio.to_thread(segments.remove_unborn, self.directory, _SETTLED)
        for name in await asyncio.to_thread(segments.segments, self.directory):
            with segments.abandoned(self.directory, name) as size:
                if size is not None:
                    await self._tidy_segment(name, size)

    async def _tidy_segment(self, name: str, size: int) -> None:
        """Move on what is left in a segment, or remove it. It is held: no row can be added."""
        sql = "SELECT count(*), coalesce(sum(length), 0) FROM content WHERE segment = ?"
        rows = await self._rows(sql, name)
        count, needed = rows[0]
        if count and (needed > size * _NEEDED or segments.age(self.directory, name) < _SETTLED):
            return
        if count and not await self._move_all(name):
            return
        await asyncio.to_thread(segments.remove, self.directory, name)
        _log.debug("store: removed segment %s of %d octets", name, size)

    async def _move_all(self, name: str) -> bool:
        """Copy what a segment still holds into our own; False when something could not be read."""
        sql = (
            "SELECT submission_id, segment, offset, length, crc FROM content"
            " WHERE segment = ? ORDER BY offset"
        )
        rows = await self._rows(sql, name)
        contents = [(SubmissionId(row[0]), Place(*row[1:])) for row in rows]
        is_whole = True
        for some in _portions(contents):
            moved = await asyncio.gather(*(self._move(*content) for content in some))
            is_whole = is_whole and all(moved)
        return is_whole

    async def _move(self, submission_id: SubmissionId, place: Place) -> bool:
        try:
            octets = await asyncio.to_thread(read_content, self.directory, place)
        except (ContentDamagedError, SegmentGoneError) as error:
            _log.error("store: content of %s stays: damaged: %s", submission_id, error)
            return False

        def job(transaction: SqliteTransaction) -> None:
            transaction.move_content(submission_id, place)

        await self.change(job, (submission_id, (octets,)))
        return True


def _portions(
    contents: Sequence[tuple[SubmissionId, Place]],
) -> list[list[tuple[SubmissionId, Place]]]:
    portions: list[list[tuple[SubmissionId, Place]]] = []
    octets = _MOVE_OCTETS
    for content in contents:
        if octets >= _MOVE_OCTETS:
            portions.append([])
            octets = 0
        portions[-1].append(content)
        octets += content[1].length
    return portions
