"""SQLite's write-ahead log, synced by us.

SQLite syncs its log amid a commit, while it holds the lock for which all other processes wait. The
writer's connection leaves that out (`synchronous = NORMAL`); the log is synced when the lock is free
again, and before anybody is told. Until then others see what may yet be lost; but whatever they commit
comes behind it in the same log, so that their sync makes it durable, too. Who acts on what it has read
outside of the database has to commit something first, if it is nothing at all.
"""

import logging
import os
from pathlib import Path
from threading import Lock

import apsw

from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.segments import disk_trouble, sync_directory
from gatepost.store.sqlite_connection import connect, store_trouble
from gatepost.store.sqlite_place import DATABASE, LOG, store_lock

_log = logging.getLogger(__name__)


class Log:
    """One process's hand on the log. Of its threads several may sync at once."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._guard = Lock()
        self._mending = Lock()
        self._file: int | None = None
        self._inode = 0
        #: Files that were the log before; others may sync them still.
        self._former: list[int] = []
        #: How many syncs have failed, and of how many the log was copied since.
        self._failed = 0
        self._mended = 0

    @property
    def is_torn(self) -> bool:
        """Whether a sync has failed: what lies behind in the log may not be found again, even if that
        is synced.
        """
        return self._mended < self._failed

    def sync(self) -> None:
        """Make durable what was committed; where the log cannot be synced, in the database itself.

        Raises:
            StoreUnavailableError: it is committed, and may be lost with the power.

        """
        if self.is_torn or not self._synced():
            self._mend()

    def close(self) -> None:
        """Let go of the file. Nobody syncs any more."""
        self._leave()
        while self._former:
            os.close(self._former.pop())

    def _synced(self) -> bool:
        try:
            with self._guard:
                file = self._opened()
            os.fdatasync(file)
        except OSError as error:
            _log.error("store: %s cannot be synced: %s", LOG, error)
            with self._guard:
                self._failed += 1
            return False
        return True

    def _opened(self) -> int:
        """Return the log as it is now: with its last connection it goes, copied and synced."""
        path = self._data_dir / LOG
        if self._file is not None and os.stat(path).st_ino != self._inode:  # noqa: PTH116 - quicker
            self._leave()
        if self._file is None:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._inode = os.fstat(self._file).st_ino
            sync_directory(self._data_dir)
        return self._file

    def _leave(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._former.append(file)

    def _mend(self) -> None:
        with self._mending:
            failed = self._failed
            self._copy()
            self._mended = failed

    def _copy(self) -> None:
        """Copy all of the log and empty it. The kernel may have dropped pages of it: what was written
        behind them would not be found after a crash, and what stands before them would be taken for
        the last word.
        """
        try:
            with store_lock(self._data_dir):
                if not (self._data_dir / DATABASE).exists():
                    msg = f"{self._data_dir / DATABASE} is missing"
                    raise StoreUnavailableError(msg)
                connection = connect(self._data_dir / DATABASE)
                try:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                    with self._guard:
                        self._leave()
                        os.fdatasync(self._opened())
                finally:
                    connection.close(force=True)
        except OSError as error:
            raise disk_trouble(error) from error
        except apsw.Error as error:
            raise (store_trouble(error) or StoreUnavailableError(str(error))) from error
        _log.warning("store: %s was copied into the database instead", LOG)
