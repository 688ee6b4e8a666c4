"""The store of many nodes: everything in one PostgreSQL, contents too.

One writer thread commits in groups (`group_commit`), a few threads read, one hears what others have
committed. Each has a connection of its own, opened after the fork.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors

from gatepost.model.ids import SubmissionId, WorkerId
from gatepost.model.store_place import Kept, Retention
from gatepost.store.envelope import Envelope
from gatepost.store.group_commit import GroupCommit
from gatepost.store.pending import Keeping
from gatepost.store.postgresql_around import look_around
from gatepost.store.postgresql_clock import StoreClock
from gatepost.store.postgresql_connection import (
    LOCK_PATIENCE,
    Address,
    Connection,
    begin,
    connect,
    discard,
    said,
    start_trouble,
    store_trouble,
)
from gatepost.store.postgresql_news import News
from gatepost.store.postgresql_reading import PostgresReading
from gatepost.store.postgresql_tidy import PostgresHousekeeper
from gatepost.store.postgresql_transaction import PostgresTransaction
from gatepost.store.postgresql_upgrade import is_present, migrate, upgrade
from gatepost.store.postgresql_watch import Watch
from gatepost.store.postgresql_writer import PostgresWriter
from gatepost.store.protocols import Reading, StoreUnavailableError, Transaction

_log = logging.getLogger(__name__)

T = TypeVar("T")

_READERS: Final = 2
#: Seconds after which a caller is told that the store is away: clients wait for the reply.
_DEADLINE: Final = 10.0
#: A server that has answered no question for so many seconds (one is asked in each) is silent; so long
#: it has all the same for each that is asked from then on.
_SILENCE: Final = 4.0
_MOMENT: Final = 0.5
#: Seconds before that in which nothing is begun any more: it may have to wait for a lock.
_MARGIN: Final = LOCK_PATIENCE + 1.0
#: How often a query is run again because a day was dropped, or a server went away, meanwhile.
_TRIES: Final = 3
#: Seconds that a migration may take: it may build an index over all mail.
_MIGRATION: Final = 3600.0
#: Whoever keeps house has so long; the next one begins when it has ended, or died.
_HOUSEKEEPING: Final = timedelta(minutes=10)
#: Nobody says how much room another machine's disk has. More than any limit of ours.
_ROOM: Final = 1 << 50

_CLAIM: Final = (
    "INSERT INTO counter (name, value) VALUES ('tidy', ?) ON CONFLICT (name)"
    " DO UPDATE SET value = excluded.value WHERE counter.value <= ?"
)
_RELEASE: Final = "UPDATE counter SET value = 0 WHERE name = 'tidy' AND value = ?"


async def open_postgresql(
    address: Address,
    worker: WorkerId,
    retention: Retention | None = None,
    *,
    clock: Callable[[], datetime] | None = None,
    wall: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> "PostgresStore":
    """Open the store, making or migrating its tables when needed. Call it after the fork.

    `retention` defaults to the settings' defaults; `clock` is for tests: else time is the
    database's, and `wall` the clock by which jobs are given their times.

    Raises:
        NewerDatabaseError: a newer Gatepost wrote it; nothing was touched.
        StoreAwayError: nobody answers, or not yet.
        StoreUnavailableError: it cannot be used, or the server is too old.

    """
    if retention is None:
        retention = Kept()
    await asyncio.to_thread(prepare, address)
    store = PostgresStore(address, worker, retention, StoreClock(clock, wall))
    await store.begin()
    return store


def prepare(address: Address) -> None:
    """Make or migrate the tables. Raises as `open_postgresql` does."""
    connection: Connection | None = None
    watch = Watch()
    try:
        connection = connect(address, watch)
        with watch.over(connection):
            is_ready = is_present(connection)
        if not is_ready:
            with watch.over(connection, _MIGRATION):
                migrate(connection)
    except psycopg.Error as error:
        raise start_trouble(error, address) from error
    finally:
        watch.close()
        discard(connection)


class PostgresStore:
    """`Store` over PostgreSQL. Made by `open_postgresql`, used from one event loop."""

    def __init__(
        self,
        address: Address,
        worker: WorkerId,
        retention: Retention,
        clock: StoreClock,
    ) -> None:
        self._address = address
        self._retention = retention
        self._clock = clock
        keeping = Keeping(retention.content, retention.captured)
        self._watch = Watch()
        self._writer = PostgresWriter(address, keeping, clock, self._watch)
        self._commits = GroupCommit(
            self._writer, name=f"store {worker}", deadline=_DEADLINE, margin=_MARGIN
        )
        self._readers = ThreadPoolExecutor(_READERS, "store-reader")
        self._reader = threading.local()
        self._connections: list[Connection] = []
        self._news = News(address, self._writer.own, clock, self._watch)
        self._around = look_around(address, self._watch)
        self._is_closed = False

    async def begin(self) -> None:
        """Wait until the time is known."""
        await asyncio.to_thread(self._news.wait, _DEADLINE)

    async def write(
        self,
        job: Callable[[Transaction], T],
        content: tuple[SubmissionId, Sequence[bytes]] | None = None,
        envelope: Envelope | None = None,
    ) -> T:
        """Run a job, committed with its neighbours, and return what it returned once durable."""
        result: T = await self._commits.write(job, content, envelope)
        return result

    async def read(self, query: Callable[[Reading], T]) -> T:
        """Run a query on a consistent snapshot, off the event loop."""
        return await self._in_reader(query)

    async def inspect(self, query: Callable[[PostgresReading], T]) -> T:
        """Run a query that knows PostgreSQL (`verify`)."""
        return await self._in_reader(query)

    async def data_version(self) -> int:
        """Return a number that changes when another process has committed what others must hear
        of: all but what a worker does with mail of its own.
        """
        return self._news.version

    async def free_space(self) -> int:
        """Return nothing where the database said so lately; else more than anybody wants: it does
        not tell how much room it has.
        """
        return 0 if self._writer.is_full else _ROOM

    def gets_on(self) -> bool:
        """Tell whether what was given gets on."""
        return self._commits.gets_on()

    async def rest(self) -> None:
        """Do nothing: no file is ours."""

    async def tidy(self, now: datetime) -> None:
        """Do the housekeeping if no neighbour does."""
        wall, ahead = self._clock.now()
        until = wall + ahead + _HOUSEKEEPING // timedelta(microseconds=1)
        if not await self._commits.write(partial(_execute, _CLAIM, (until, wall + ahead))):
            return
        try:
            await PostgresHousekeeper(
                retention=self._retention.events, ask=self._in_reader, change=self._commits.write
            ).tidy(now + timedelta(microseconds=ahead))
            await upgrade(self._in_reader, self._commits.write).finish()
        finally:
            await self._commits.write(partial(_execute, _RELEASE, (until,)))

    async def close(self) -> None:
        """Finish what was given, then close."""
        if self._is_closed:
            return
        self._is_closed = True
        # Whoever waited for what takes longer was told that the store is away.
        self._watch.hurry(_DEADLINE)
        await self._commits.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.shutdown()
        for connection in self._connections:
            discard(connection)
        self._news.close()
        if self._around is not None:
            self._around.close()
        self._watch.close()

    # -- reading
    async def _in_reader(self, query: Callable[[Any], T]) -> T:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            msg = "the store is closed"
            raise StoreUnavailableError(msg)
        begun = time.monotonic()
        future = loop.run_in_executor(self._readers, self._query, query)
        try:
            while (patience := self._patience(begun)) > 0:
                if (await asyncio.wait((future,), timeout=patience))[0]:
                    return future.result()
        finally:
            future.cancel()
        msg = f"no answer within {time.monotonic() - begun:.0f} s"
        raise StoreUnavailableError(msg)

    def _patience(self, begun: float) -> float:
        """Return for how many seconds more an answer to what was begun then is waited for: a server that
        has been silent for some seconds has but a moment left.
        """
        silent_at = max(self._news.heard_at + _SILENCE, begun + _MOMENT)
        return min(begun + _DEADLINE, silent_at) - time.monotonic()

    def _query(self, query: Callable[[Any], T]) -> T:
        for _ in range(_TRIES):
            try:
                return self._query_once(query)
            except (errors.UndefinedTable, psycopg.OperationalError) as error:
                # A day was dropped, or the connection was to a server that is gone, or overtaken.
                self._forget_reader()
                trouble = error
            except psycopg.Error as error:
                self._forget_reader()
                raise (store_trouble(error) or error) from error
        raise StoreUnavailableError(said(trouble)) from trouble

    def _query_once(self, query: Callable[[Any], T]) -> T:
        connection = self._reading()
        _, ahead = self._clock.now()
        with self._watch.over(connection), connection.pipeline():
            begin(connection, readable_only=True)
            try:
                return query(PostgresReading(connection, ahead))
            finally:
                connection.execute(b"ROLLBACK")

    def _forget_reader(self) -> None:
        """Close a connection that has had trouble: the next query opens another."""
        connection: Connection | None = getattr(self._reader, "connection", None)
        if connection is not None:
            self._reader.connection = None
            self._connections.remove(connection)
            discard(connection)

    def _reading(self) -> Connection:
        connection: Connection | None = getattr(self._reader, "connection", None)
        if connection is None:
            connection = connect(self._address, self._watch)
            self._reader.connection = connection
            self._connections.append(connection)
        return connection


def _execute(sql: str, bindings: Sequence[Any], transaction: PostgresTransaction) -> int:
    return transaction.execute(sql, bindings)
