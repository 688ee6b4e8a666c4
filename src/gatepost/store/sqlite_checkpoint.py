"""Checkpoints in a thread of their own: no commit ever waits for the copying.

A passive checkpoint copies what the WAL holds while others write. It cannot begin the WAL anew as
long as they do, so a second one follows under the store's lock. That one is short, because almost
everything is copied by then.
"""

import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import Final

import apsw

from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.sqlite_connection import connect
from gatepost.store.sqlite_place import DATABASE, DOUBT, note_doubt, store_lock

_log = logging.getLogger(__name__)

_LOCK: Final = "checkpoint.lock"
#: Pages of 4 KiB by which the WAL grows before it is copied. Pages that change all the time are
#: copied once each time, so more is cheaper; readers search it, so much more is slower.
_GROWTH: Final = 4096
#: Milliseconds that readers get to end before a restart is put off.
_PATIENCE: Final = 20


class Checkpointer:
    """One thread per process; a lock sees to it that one process at a time copies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._wake = threading.Event()
        self._copied = 0
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="store-checkpoint", daemon=True)
        self._thread.start()

    def grown(self, pages: int) -> None:
        """Hear how many pages the WAL holds. Called by the writer thread at each commit."""
        if pages < self._copied:
            self._copied = 0  # it was begun anew
        if pages - self._copied >= _GROWTH:
            self._copied = pages
            self._wake.set()

    def wake(self) -> None:
        """Copy now: the WAL cannot grow."""
        self._wake.set()

    def close(self) -> None:
        """End the thread; blocks until it has."""
        self._ending = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while self._has_work():
            try:
                checkpoint(self._data_dir)
            except (OSError, apsw.Error, StoreUnavailableError) as error:
                _log.warning("store: checkpoint: %s", error)
            except Exception:  # noqa: BLE001 - the top of the thread: it never dies
                _log.exception("store: checkpoint")

    def _has_work(self) -> bool:
        self._wake.wait()
        self._wake.clear()
        return not self._ending


def checkpoint(data_dir: Path) -> None:
    """Copy what the WAL holds into the database, unless another process does.

    Raises:
        apsw.Error, OSError, StoreUnavailableError: trouble.

    """
    file = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.access(data_dir / DOUBT, os.F_OK):
            return  # what would be copied may not be what is on the disk
        connection = connect(data_dir / DATABASE)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            connection.set_busy_timeout(_PATIENCE)
            with store_lock(data_dir):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.BusyError:
            _log.debug("store: readers keep the WAL; the next checkpoint tries again")
        except apsw.IOError:
            # Of what others had committed without a sync the kernel may have dropped some.
            note_doubt(data_dir)
            raise
        finally:
            connection.close()
    except BlockingIOError:
        return
    finally:
        os.close(file)
