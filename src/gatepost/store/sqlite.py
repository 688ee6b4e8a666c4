"""The store of one node: rows in SQLite, content in segments, shared by its processes.

One writer thread commits in groups (`group_commit`), a few threads read, one copies the WAL.
Everything is opened after the fork: neither connections nor locks survive one.
"""

import asyncio
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from gatepost.model.ids import SubmissionId, WorkerId
from gatepost.model.store_place import Kept, Retention
from gatepost.store import content_identity
from gatepost.store.envelope import Envelope
from gatepost.store.group_commit import DEADLINE, GroupCommit
from gatepost.store.pending import Keeping
from gatepost.store.progress import Progress
from gatepost.store.protocols import (
    Reading,
    StoreUnavailableError,
    Transaction,
)
from gatepost.store.segments import SegmentGoneError, disk_trouble, make_directory
from gatepost.store.sqlite_checkpoint import Checkpointer
from gatepost.store.sqlite_connection import connect, refuse_old_sqlite, store_trouble
from gatepost.store.sqlite_place import CONTENT, DATABASE, store_lock
from gatepost.store.sqlite_reading import LastReading, SqliteReading
from gatepost.store.sqlite_redo import is_told
from gatepost.store.sqlite_tidy import Needed, SqliteHousekeeper
from gatepost.store.sqlite_upgrade import migrate, register_program, upgrade
from gatepost.store.sqlite_writer import SqliteWriter, free_space

_log = logging.getLogger(__name__)

T = TypeVar("T")

_READERS: Final = 2
#: Seconds that a query may take while nothing can be written: a frozen disk holds readers, too, and who
#: asks now need not find that out anew.
_MOMENT: Final = 1.0
#: Seconds that one look at all rows may take.
_INSPECTION: Final = 3600.0
#: How often a query is run again because content moved on meanwhile.
_TRIES: Final = 3
_TIDY_LOCK: Final = "tidy.lock"
#: Seconds for which an answer about free space is good.
_SPACE_KNOWN: Final = 0.5


async def open_sqlite(
    data_dir: Path,
    worker: WorkerId,
    retention: Retention | None = None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    is_there: bool = False,
) -> "SqliteStore":
    """Open the store in `data_dir`, making or migrating it when needed (not making it where it is to be
    there). Call it after the fork.

    `retention` defaults to the settings' defaults; `clock` dates what is settled.

    Raises:
        NewerDatabaseError: a newer Gatepost wrote it; nothing was touched.
        StoreUnavailableError: it cannot be used, or SQLite is too old.

    """
    if retention is None:
        retention = Kept()
    try:
        async with asyncio.timeout(DEADLINE):
            program = await asyncio.to_thread(prepare, data_dir, is_there=is_there)
    except TimeoutError as error:
        msg = f"the store's lock was not free within {DEADLINE:g} s"
        raise StoreUnavailableError(msg) from error
    return SqliteStore(data_dir, worker, retention, clock, program)


def _tidy_lock(data_dir: Path) -> int:
    return os.open(data_dir / _TIDY_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def prepare(data_dir: Path, *, is_there: bool = False) -> int:
    """Make or migrate the database; return what tells others that we use it while it is open.
    Raises as `open_sqlite` does.
    """
    refuse_old_sqlite()
    if is_there and not (data_dir / DATABASE).exists():
        msg = f"{data_dir / DATABASE} is missing"
        raise StoreUnavailableError(msg)
    try:
        make_directory(data_dir)
        with store_lock(data_dir):
            # Made by us, for the owner alone; SQLite gives its other files the same rights. (A
            # narrower umask would be the whole process's, and two threads would leave it behind.)
            os.close(os.open(data_dir / DATABASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = connect(data_dir / DATABASE)
            try:
                migrate(connection, data_dir)
                content_identity.begin(connection, data_dir)
            finally:
                connection.close()
            return register_program(data_dir)
    except OSError as error:
        raise disk_trouble(error) from error
    except apsw.Error as error:
        raise (store_trouble(error) or StoreUnavailableError(str(error))) from error


class SqliteStore:
    """`Store` over SQLite and segments. Made by `open_sqlite`, used from one event loop."""

    def __init__(
        self,
        data_dir: Path,
        worker: WorkerId,
        retention: Retention,
        clock: Callable[[], datetime],
        program: int,
    ) -> None:
        self.data_dir = data_dir
        self._program = program
        self._retention = retention
        self._checkpointer = Checkpointer(data_dir)
        keeping = Keeping(retention.content, retention.captured)
        progress = Progress()
        self._writer = SqliteWriter(
            data_dir,
            keeping,
            clock,
            self._checkpointer.grown,
            self._checkpointer.wake,
            progress.step,
        )
        self._commits = GroupCommit(self._writer, name=f"store {worker}", progress=progress)
        self._readers = ThreadPoolExecutor(_READERS, "store-reader")
        self._reader = threading.local()
        self._connections: list[apsw.Connection] = []
        self._space = 0
        self._space_until = 0.0
        self._segments_read: dict[str, Needed] = {}
        self._is_closed = False

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
        return await self._in_reader(query, _MOMENT if self._commits.is_stuck else DEADLINE)

    async def is_whole(self) -> bool:
        """Tell that rows tell of all that stands in segments, as far as their sizes say."""
        return await self._in_reader(is_told)

    async def recover(self) -> int:
        """Bring back what had been accepted when the power went, and whose rows were not on the disk
        yet; return how many messages. For a node that starts, before it serves.

        Raises:
            OldDatabaseError: segments hold more than that; the database is an old copy.
            LookLaterError: not now; housekeeping looks again.
            StoreUnavailableError: not now, and nobody will look again: serve may not begin.

        """
        return await self._recover(is_start=True)

    async def _recover_rest(self) -> int:
        return await self._recover(is_start=False)

    async def _recover(self, *, is_start: bool) -> int:
        try:
            return await self._commits.peek(partial(self._writer.recover, is_start=is_start))
        except apsw.Error as error:
            raise StoreUnavailableError(str(error)) from error

    async def inspect(self, query: Callable[[SqliteReading], T]) -> T:
        """Run a query that knows SQLite (`verify`); it may take its time."""
        return await self._in_reader(query, _INSPECTION)

    async def data_version(self) -> int:
        """Return a number that changes when another process has committed."""
        try:
            return await self._commits.peek(self._writer.data_version)
        except apsw.Error as error:
            raise StoreUnavailableError(str(error)) from error

    async def free_space(self) -> int:
        """Return the octets that may still be written before DiskFullError."""
        now = asyncio.get_running_loop().time()
        if now >= self._space_until:
            self._space = free_space(self.data_dir)
            self._space_until = now + _SPACE_KNOWN
        return self._space

    def gets_on(self) -> bool:
        """Tell whether what was given gets on."""
        return self._commits.gets_on()

    async def rest(self) -> None:
        """Let go of a segment of some age."""
        await self._commits.peek(self._writer.rest)

    async def tidy(self, now: datetime) -> None:
        """Do the node's housekeeping if no neighbour does; let go of a segment of some age."""
        await self.rest()
        try:
            # In a thread: on a disk that takes no change it waits, and nobody else is to.
            lock = await asyncio.to_thread(_tidy_lock, self.data_dir)
        except OSError as error:
            raise disk_trouble(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            await upgrade(self.data_dir, self._in_reader, self._commits.write).finish()
            await SqliteHousekeeper(
                directory=self.data_dir / CONTENT,
                recover=self._recover_rest,
                read=self._segments_read,
                retention=self._retention.events,
                ask=self._in_reader,
                change=self._commits.write,
            ).tidy(now)
        except BlockingIOError:
            return
        except OSError as error:
            raise disk_trouble(error) from error
        finally:
            os.close(lock)

    async def close(self) -> None:
        """Finish what was given, then close."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._commits.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.shutdown()
        for connection in self._connections:
            connection.close(force=True)
        self._checkpointer.close()
        os.close(self._program)

    # -- reading
    async def _in_reader(self, query: Callable[[Any], T], patience: float = DEADLINE) -> T:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            msg = "the store is closed"
            raise StoreUnavailableError(msg)
        try:
            async with asyncio.timeout(patience):
                return await loop.run_in_executor(self._readers, self._query, query)
        except TimeoutError as error:
            msg = f"no answer within {patience:g} s"
            raise StoreUnavailableError(msg) from error

    def _query(self, query: Callable[[Any], T]) -> T:
        try:
            for _ in range(_TRIES):
                try:
                    return self._query_once(query, SqliteReading)
                except SegmentGoneError:
                    continue
            return self._query_once(query, LastReading)
        except apsw.Error as error:
            trouble = store_trouble(error)
            if trouble is None:
                raise
            self._forget_reader()
            raise trouble from error

    def _query_once(self, query: Callable[[Any], T], kind: type[SqliteReading]) -> T:
        connection = self._reading()
        connection.execute("BEGIN")
        try:
            return query(kind(connection, self.data_dir / CONTENT))
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _forget_reader(self) -> None:
        """Close a connection that has had trouble: the next query opens another."""
        connection: apsw.Connection | None = getattr(self._reader, "connection", None)
        if connection is not None:
            self._reader.connection = None
            self._connections.remove(connection)
            connection.close(force=True)

    def _reading(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._reader, "connection", None)
        if connection is None:
            if not (self.data_dir / DATABASE).exists():
                msg = f"{self.data_dir / DATABASE} is missing"
                raise StoreUnavailableError(msg)
            connection = connect(self.data_dir / DATABASE, readable_only=True)
            self._reader.connection = connection
            self._connections.append(connection)
        return connection
