"""The writer's hands: its segment, its connection, and the lock that processes share.

Contents are synced before the lock is taken; the lock is held for the row commit only. The lock is
a file of its own (`store.lock`): waiting writers sleep in the kernel and are woken in turn, where
SQLite's own busy handler would poll.

Rows that could be made anew from their segment are committed without a sync of their own: they are on
the disk with the next commit that has one, within a second (ADR 34).
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw

from gatepost.model.ids import SubmissionId
from gatepost.store import unstoppable
from gatepost.store.content_identity import make_ours, recognise
from gatepost.store.envelope import Envelope
from gatepost.store.keeper import Content, Run
from gatepost.store.pending import Keeping
from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.store.recovered import LookLaterError, OldDatabaseError
from gatepost.store.rows import microseconds
from gatepost.store.segment_writer import SegmentWriter
from gatepost.store.segments import Place, disk_trouble, segments
from gatepost.store.sqlite_connection import (
    connect,
    set_synchronous,
    store_trouble,
    use_log,
    write_again,
)
from gatepost.store.sqlite_pending import SqlitePending
from gatepost.store.sqlite_place import CONTENT, DATABASE, DOUBT, LOCK, note_doubt
from gatepost.store.sqlite_reading import SqliteReading
from gatepost.store.sqlite_redo import (
    LOG,
    TOLD,
    Tails,
    bring_back,
    find_tails,
    is_noted,
    is_unseen,
    log_ends,
    refuse_old,
)
from gatepost.store.sqlite_transaction import SqliteTransaction

_log = logging.getLogger(__name__)

#: Seconds for which a worker that has little to do appends to one segment.
REST: Final = 300.0
#: What is left to the rest of the machine, and to settling, which frees room: this much, or a
#: sixteenth of a small disk.
_RESERVE: Final = 64 * 2**20
_RESERVE_SHARE: Final = 16
#: Seconds for which a commit may stand without having been synced.
SYNC_WITHIN: Final = 1.0
#: Steps of SQLite's machine, some hundredths of a second, after which a long statement shows that it
#: gets on.
_MANY_STEPS: Final = 1_000_000


def free_space(directory: Path) -> int:
    """Return the octets that may be written before the reserve begins; 0 without inodes.

    Raises:
        StoreUnavailableError: the directory is gone.

    """
    try:
        found = os.statvfs(directory)
    except OSError as error:
        raise disk_trouble(error) from error
    reserve = min(_RESERVE, found.f_blocks * found.f_frsize // _RESERVE_SHARE)
    if found.f_files and not found.f_favail:
        return 0
    return max(0, found.f_bavail * found.f_frsize - reserve)


def is_full(directory: Path) -> bool:
    """Tell whether nothing may be written to a directory's disk but what the reserve is for."""
    try:
        return free_space(directory) == 0
    except StoreUnavailableError:
        return False


class SqliteWriter:
    """`Keeper` over SQLite and segments. Opens what it needs with its first batch."""

    def __init__(
        self,
        data_dir: Path,
        keeping: Keeping,
        clock: Callable[[], datetime],
        on_commit: Callable[[int], None],
        on_full: Callable[[], None],
        on_step: Callable[[], bool],
    ) -> None:
        """`on_commit` is told how many pages wait in the WAL, `on_full` that the disk had no room for
        more of them, `on_step` that a long statement gets on, which True would end; all are called
        in the writer thread.
        """
        self._data_dir = data_dir
        self._keeping = keeping
        self._clock = clock
        self._on_commit = on_commit
        self._on_full = on_full
        self._on_step = on_step
        self._contents = data_dir / CONTENT
        self._segment = SegmentWriter(self._contents, make=make_ours)
        self._lock: int | None = None
        self._connection: apsw.Connection | None = None
        self._connections = 0
        self._known_tables: set[str] = set()
        self._schema_version = 0
        #: Of the last event that is known to be synced.
        self._position = 0
        #: Up to which segment and offset rows tell of contents.
        self._logged = self._segment.end
        #: Whether the connection syncs its commits, and whether one of ours stands without.
        self._syncs = True
        self._is_unsynced = False
        self._synced_at = 0.0
        #: A sync failed: what stands in the WAL may never have reached the disk.
        self._is_doubtful = False
        self._doubt = data_dir / DOUBT

    # -- phase 1
    def keep(
        self, contents: Sequence[Content], envelopes: Sequence[Envelope | None]
    ) -> Mapping[SubmissionId, Place]:
        """Append contents with one sync. Raises StoreUnavailableError."""
        if free_space(self._data_dir) <= 0:
            msg = "less disk space is left than the reserve"
            raise DiskFullError(msg)
        places = self._segment.append([each for _, each in contents], envelopes, self._position)
        return {content[0]: place for content, place in zip(contents, places, strict=True)}

    # -- phase 2
    def commit(
        self, runs: Sequence[Run], places: Mapping[SubmissionId, Place], *, is_logged: bool = False
    ) -> list[Any]:
        """Run jobs in one transaction. Raises StoreUnavailableError, or what a job raised."""
        is_recent = time.monotonic() < self._synced_at + SYNC_WITHIN
        syncs = not is_logged or self._is_doubtful or not is_recent
        try:
            with self._locked() as connection:
                self._be_sure(connection, syncs=syncs)
                results = self._commit(connection, runs, places)
        except apsw.Error as error:
            trouble = store_trouble(error)
            if trouble is None:
                raise
            if isinstance(error, apsw.IOError):
                self._note_doubt()
            self._forget()
            if isinstance(trouble, DiskFullError):
                # What is copied into the database makes room in the WAL: settling goes on, and
                # frees more.
                self._on_full()
            raise trouble from error
        return results

    def disown(self) -> None:
        """Have rows tell of all that was kept, or take it back. Raises StoreUnavailableError."""
        if self._segment.end == self._logged:
            self.sync()
            return
        if self._is_doubtful:
            return  # the rows that failed may be on the disk: they shall not name what is gone
        name, through = self._logged
        try:
            self._segment.cut_back(through if name == self._segment.end[0] else 0)
        except OSError as error:
            raise disk_trouble(error) from error

    def sync(self) -> None:
        """Have on the disk what we have committed. Raises StoreUnavailableError."""
        if self._is_unsynced:
            try:
                self.commit((), {})
            finally:
                self._synced_at = time.monotonic()  # not again at once, if that failed

    def sync_within(self) -> float | None:
        """Return in how many seconds `sync` is due; None: all is on the disk."""
        if not self._is_unsynced:
            return None
        return max(0.0, self._synced_at + SYNC_WITHIN - time.monotonic())

    def recover(self, *, is_start: bool = True) -> int:
        """Bring back what had been accepted when the power went; return how many messages. Between two
        batches, of a node that starts; later only what was left out then.

        Raises:
            OldDatabaseError: it is more than a loss of power takes.
            LookLaterError: not now, and housekeeping will look again.
            StoreUnavailableError: not now, and that could not be noted.

        """
        connection = self._open()
        told = dict(connection.execute(TOLD))
        with ExitStack() as held:
            try:
                recognise(self._contents)
                names = segments(self._contents)
                wanted = [name for name in names if is_start or is_unseen(told, name)]
                tails = find_tails(self._contents, wanted, told, held)
                if not tails.ends and is_noted(tails, told):
                    return 0
                refuse_old(tails.redos, SqliteReading(connection, self._contents).settled_at())
                return self._bring_back(tails)
            except OldDatabaseError:
                raise
            except (OSError, StoreUnavailableError) as error:
                self.commit([partial(log_ends, {}, [""])], {})
                trouble = disk_trouble(error) if isinstance(error, OSError) else error
                raise LookLaterError(str(trouble), mend=trouble.mend) from error

    def _bring_back(self, tails: Tails) -> int:
        now = self._clock()
        runs = [partial(bring_back, redo, now) for redo in tails.redos]
        places = {redo.envelope.submission.id: redo.place for redo in tails.redos}
        results = self.commit([*runs, partial(log_ends, tails.ends, tails.left_out)], places)
        back = results[:-1].count(True)
        if back:
            _log.warning("store: %d messages come back, accepted when the power went", back)
        return back

    def forsake(self, late: Sequence[int]) -> None:
        """Leave what was leased for jobs that gave up to the end of its lease."""

    def _note_doubt(self) -> None:
        """Have what is in the log written again before anything is committed behind it."""
        self._is_doubtful = True
        note_doubt(self._data_dir)

    def _be_sure(self, connection: apsw.Connection, *, syncs: bool) -> None:
        """Have the next commit synced, or not. Where a sync failed, the kernel may have dropped what
        others had committed without: it is written again before anything stands on it.
        """
        if self._is_doubtful or os.access(self._doubt, os.F_OK):
            write_again(connection, self._data_dir / f"{DATABASE}-wal")
            with suppress(OSError):  # it is done again
                self._doubt.unlink(missing_ok=True)
            self._is_doubtful = False
        if syncs != self._syncs:
            set_synchronous(connection, syncs=syncs)
            self._syncs = syncs

    def _commit(
        self,
        connection: apsw.Connection,
        runs: Sequence[Run],
        places: Mapping[SubmissionId, Place],
    ) -> list[Any]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._look_at_schema(connection)
            now = microseconds(self._clock())
            pending = SqlitePending(
                connection,
                known_tables=self._known_tables,
                now=now,
                keeping=self._keeping,
                syncs=self._syncs,
            )
            transaction = SqliteTransaction(self._contents, pending, places)
            results = [run(transaction) for run in runs]
            transaction.flush()
            if (end := self._segment.end) != self._logged:
                connection.execute(LOG, end)
            if self._syncs:
                pending.settle_events()
            connection.execute("COMMIT")
        except BaseException:
            self._known_tables.clear()
            # SQLite itself rolls back at some errors (a full disk among them).
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._committed(end, pending.position)
        return results

    def _committed(self, end: tuple[str, int], position: int) -> None:
        self._logged = end
        self._is_unsynced = not self._syncs
        if self._syncs:
            self._position = max(self._position, position)
            self._synced_at = time.monotonic()

    def _look_at_schema(self, connection: apsw.Connection) -> None:
        """Forget which daily tables are there when somebody has made or dropped one."""
        version = connection.execute("PRAGMA schema_version").get
        if version != self._schema_version:
            self._known_tables.clear()
            self._schema_version = version

    def rest(self) -> None:
        """Leave a segment of some age, so that housekeeping can empty it. Between two batches."""
        self._segment.rest(REST)

    def data_version(self) -> int:
        """Return a number that changes when another process has committed.

        Asked of the connection that writes: its own commits do not count. Raises apsw.Error.
        """
        version: int = self._open().execute("PRAGMA data_version").get
        return self._connections << 32 | version

    def close(self) -> None:
        """Let go of everything."""
        self._segment.close()
        self._forget()

    @contextmanager
    def _locked(self) -> Iterator[apsw.Connection]:
        connection = self._open()
        try:
            lock = self._lock
            if lock is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                lock = self._lock = os.open(self._data_dir / LOCK, flags, 0o600)
        except OSError as error:
            raise disk_trouble(error) from error
        with unstoppable.LOCKED:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                raise disk_trouble(error) from error
            try:
                yield connection
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            path = self._data_dir / DATABASE
            if not path.exists():
                # SQLite would make an empty one, and mail would seem to be gone.
                msg = f"{path} is missing"
                raise StoreUnavailableError(msg)
            connection = connect(path)
            try:
                use_log(connection)
            except BaseException:
                connection.close(force=True)
                raise
            self._syncs = True
            connection.setwalhook(self._wal_grew)
            connection.set_progress_handler(self._on_step, _MANY_STEPS)
            self._connection = connection
            self._connections += 1
        return self._connection

    def _wal_grew(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._on_commit(pages)
        return apsw.SQLITE_OK

    def _forget(self) -> None:
        """Close what has had trouble: the next batch opens it anew, perhaps on another disk."""
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)
        self._known_tables.clear()
        if connection is not None:
            try:
                connection.close(force=True)
            except apsw.Error as error:
                _log.warning("store: closing the database: %s", error)
