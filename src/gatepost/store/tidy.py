"""Housekeeping: what is kept for a while, and no longer.

Everything is done in small steps through the ordinary writer, so that mail goes on meanwhile.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from gatepost.model.event import Event, EventKind, Fact
from gatepost.store.days import table_day
from gatepost.store.envelope import Envelope
from gatepost.store.keeper import Content
from gatepost.store.protocols import Transaction
from gatepost.store.rows import NOTICES, Row, as_json, microseconds

_log = logging.getLogger(__name__)

#: Rows changed in one step.
_STEP: Final = 500
#: Rows of a day that go at once: a few milliseconds.
_PORTION: Final = 1000

#: Contents that are kept no longer.
OUTLIVED: Final = (
    "submission_id IN (SELECT submission_id FROM content AS c"
    " WHERE c.keep_until <= ? AND NOT EXISTS"
    " (SELECT 1 FROM delivery AS d WHERE d.submission_id = c.submission_id) AND NOT EXISTS"
    " (SELECT 1 FROM notice AS n WHERE n.submission_id = c.submission_id) LIMIT ?)"
)
_FORGET_SUBMISSIONS: Final = (
    "DELETE FROM submission WHERE finished_at < ? AND id IN (SELECT value FROM json_each(?))"
    " AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.submission_id = submission.id)"
)


#: Reports that are owed, and whose deliveries are filed under a day.
_STILL_OWED: Final = (
    "SELECT 1 FROM notice AS n WHERE EXISTS"
    " (SELECT 1 FROM {} AS d WHERE d.id = n.delivery_id) LIMIT 1"
)
_LOST: Final = (
    "SELECT n.delivery_id, n.kind, n.submission_id FROM notice AS n WHERE n.delivery_id < ?"  # noqa: S608 - names and numbers of ours
    f" AND n.kind < {len(NOTICES)} AND {{}} ORDER BY n.delivery_id LIMIT ?"
)
_NOT_IN: Final = "NOT EXISTS (SELECT 1 FROM {} AS d WHERE d.id = n.delivery_id)"

#: What was counted longer ago matters to no window (`model.quota`).
QUOTAS_KEPT: Final = timedelta(days=31)
#: A credential that wakes after a year is known still, and that it did nothing lately (its history is
#: some kilobytes at most).
_HISTORIES_KEPT: Final = timedelta(days=400)


def _strike_lost(rows: Sequence[Row], at: datetime, transaction: Transaction) -> None:
    facts: dict[str, Fact] = {"reason": "what became of its delivery is not known any more"}
    for delivery_id, kind, submission_id in rows:
        transaction.clear_notice(delivery_id, NOTICES[kind])
        dropped = Event(EventKind.RETURN_DROPPED, at, submission_id, delivery_id, None, facts)
        transaction.add_events([dropped])


class Change(Protocol):
    """The store's write."""

    def __call__(
        self,
        run: Callable[[Any], Any],
        content: Content | None = None,
        envelope: Envelope | None = None,
    ) -> Awaitable[Any]:
        """Run a job; its content, and the envelope beside that, are stored before its rows."""
        ...


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """One round of housekeeping. `ask` and `change` are the store's read and write."""

    #: Bound to the time, and to how many at most.
    outlived: ClassVar[str] = f"DELETE FROM content WHERE {OUTLIVED}"  # noqa: S608

    retention: timedelta
    ask: Callable[[Callable[[Any], Any]], Awaitable[Any]]
    change: Change

    async def tidy(self, now: datetime) -> None:
        """Do all of it. Raises StoreUnavailableError."""
        await self._drop_outlived_content(now)
        await self._drop_days(now)
        await self._strike_lost_notices(now)
        await self._forget_quotas(now - QUOTAS_KEPT)
        await self._forget_histories(now - _HISTORIES_KEPT)

    async def _rows(self, sql: str, *bindings: object) -> list[Row]:
        rows: list[Row] = await self.ask(lambda reading: reading.rows(sql, bindings))
        return rows

    async def _execute(self, sql: str, *bindings: object) -> int:
        changed: int = await self.change(lambda changes: changes.execute(sql, bindings), None)
        return changed

    async def _drop_outlived_content(self, now: datetime) -> None:
        while await self._execute(self.outlived, microseconds(now), _STEP) == _STEP:
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
                if await self._rows(_STILL_OWED.format(table)):
                    continue  # a report tells what stands there
                await self._forget_submissions(table)
            await self._drop(table)

    async def _strike_lost_notices(self, now: datetime) -> None:
        """Strike reports on what nobody knows any more (a former release forgot it too early)."""
        oldest = datetime.combine((now - self.retention).date(), time(), UTC)
        tables = ["delivery", *await self.ask(lambda reading: reading.days("delivery"))]
        sql = _LOST.format(" AND ".join(_NOT_IN.format(table) for table in tables))
        before = f"{microseconds(oldest) // 1000:012x}"  # ids begin with their time (RFC 9562 §5.7)
        while rows := await self._rows(sql, before, _STEP):
            await self.change(partial(_strike_lost, rows, now), None)
            ids = as_json(sorted({row[2] for row in rows}))
            await self._execute(_FORGET_SUBMISSIONS, microseconds(oldest), ids)

    async def _drop(self, table: str) -> None:
        # To drop a table SQLite reads all of its pages under the lock: a day of 9 GB, half a minute.
        key = "id" if table.startswith("delivery") else "position"
        sql = (
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} ORDER BY {key} LIMIT ?)"  # noqa: S608
        )
        while await self._execute(sql, _PORTION) == _PORTION:
            pass
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
