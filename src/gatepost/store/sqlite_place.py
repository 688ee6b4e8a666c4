"""Where a node's store lies in its data directory, and the lock that its processes share.

The lock is a file of its own: waiting writers sleep in the kernel and are woken in turn, where SQLite's
own busy handler would poll.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gatepost.store.segments import disk_trouble

DATABASE: Final = "gatepost.db"
LOCK: Final = "store.lock"
CONTENT: Final = "content"
#: There while a sync of the write-ahead log has failed, and it has not been written again.
DOUBT: Final = "sync.failed"


def note_doubt(data_dir: Path) -> None:
    """Tell all processes that a sync of the write-ahead log has failed: a file that they open from now on
    does not hear of the fault.
    """
    with suppress(OSError):
        (data_dir / DOUBT).touch(mode=0o600)


@contextmanager
def store_lock(data_dir: Path) -> Iterator[None]:
    """Hold the store's lock; for what is no batch of the writer. Raises StoreUnavailableError."""
    try:
        file = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise disk_trouble(error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise disk_trouble(error) from error
    finally:
        os.close(file)
