"""Checkpoints in a thread of their own: no commit ever waits for the copying.

A passive checkpoint copies what the WAL holds while others write. It cannot begin the WAL anew as
long as they do: when the WAL has grown long, a second one runs under the store's lock. That is
short, because almost everything is copied by then.
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
from gatepost.store.sqlite_writer import DATABASE, store_lock

_log = logging.getLogger(__name__)

_LOCK: Final = "checkpoint.lock"
#: Pages of 4 KiB in the WAL: when to copy, and when to begin it anew.
_COPY: Final = 1024
_RESTART: Final = 8192
#: Milliseconds that readers get to end before a restart is put off.
_PATIENCE: Final = 20


class Checkpointer:
    """One thread per process; a lock sees to it that one process at a time copies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._wake = threading.Event()
        self._pages = 0
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="store-checkpoint", daemon=True)
        self._thread.start()

    def grown(self, pages: int) -> None:
        """Hear how many pages the WAL holds. Called by the writer thread at each commit."""
        self._pages = pages
        if pages >= _COPY and not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """End the thread; blocks until it has."""
        self._ending = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while self._has_work():
            try:
                checkpoint(self._data_dir, restart=self._pages >= _RESTART)
            except (OSError, apsw.Error, StoreUnavailableError) as error:
                _log.warning("store: checkpoint: %s", error)
            except Exception:  # noqa: BLE001 - the top of the thread: it never dies
                _log.exception("store: checkpoint")

    def _has_work(self) -> bool:
        self._wake.wait()
        self._wake.clear()
        return not self._ending


def checkpoint(data_dir: Path, *, restart: bool) -> None:
    """Copy what the WAL holds into the database, unless another process does.

    Raises:
        apsw.Error, OSError, StoreUnavailableError: trouble.

    """
    file = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        connection = connect(data_dir / DATABASE)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if restart:
                connection.set_busy_timeout(_PATIENCE)
                with store_lock(data_dir):
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.BusyError:
            _log.debug("store: readers keep the WAL; the next checkpoint tries again")
        finally:
            connection.close()
    except BlockingIOError:
        return
    finally:
        os.close(file)
