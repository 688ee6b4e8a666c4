"""Housekeeping in PostgreSQL: as in SQLite, and the tables of tomorrow are made today."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from psycopg import errors

from gatepost.store.days import day_of
from gatepost.store.postgresql_pending import DROP_CONTENT, make_day_table
from gatepost.store.postgresql_still import end_forgotten
from gatepost.store.postgresql_transaction import PostgresTransaction
from gatepost.store.rows import Row, microseconds
from gatepost.store.tidy import OUTLIVED, Housekeeper

_log = logging.getLogger(__name__)


class _InUseError(Exception):
    """Somebody reads a table."""


@dataclass(frozen=True, slots=True)
class PostgresHousekeeper(Housekeeper):
    """One round; whoever calls it sees to it that it is the only one."""

    outlived: ClassVar[str] = DROP_CONTENT.format(condition=OUTLIVED)

    async def tidy(self, now: datetime) -> None:
        """Do all of it. Raises StoreUnavailableError."""
        await self.change(end_forgotten, None)
        await Housekeeper.tidy(self, now)
        there = set(await self.ask(lambda store: store.days("delivery") + store.days("event")))
        for day in (day_of(microseconds(now)), day_of(microseconds(now + timedelta(days=1)))):
            for kind in ("delivery", "event"):
                if f"{kind}_{day}" not in there:
                    await self.change(partial(_make, kind, day), None)

    async def _drop(self, table: str) -> None:
        # Somebody reads it for long (a backup): mail waits for nobody, tomorrow will do.
        def job(transaction: PostgresTransaction) -> None:
            try:
                transaction.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT")
            except errors.LockNotAvailable as error:
                raise _InUseError from error  # the writer would try again
            transaction.execute(f"DROP TABLE {table}")

        try:
            await self.change(job, None)
            _log.info("store: dropped %s", table)
        except _InUseError:
            _log.info("store: %s stays until nobody reads it", table)


def _make(kind: str, day: str, transaction: PostgresTransaction) -> None:
    def execute(sql: str, bindings: Iterable[Any]) -> Iterator[Row]:
        transaction.execute(sql, bindings)
        return iter(())

    make_day_table(execute, kind, day)
