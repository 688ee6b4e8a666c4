"""Connections to SQLite by apsw, and its errors in the store's words."""

import os
from pathlib import Path
from typing import Final

import apsw

from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.store.segments import disk_trouble

#: Before 3.51.3 a WAL reset may lose committed pages when several connections checkpoint.
_OLDEST_SQLITE: Final = (3, 51, 3)
#: Milliseconds. Our own lock makes writers wait in turn; this is for foreign ones and recovery.
_BUSY: Final = 5000
_STATEMENTS: Final = 256
_BLOCK: Final = 2**20
#: Octets before all frames of a write-ahead log, and before the page of each (sqlite.org/walformat.html).
_LOG_HEAD: Final = 32
_FRAME_HEAD: Final = 24

#: Trouble of the database as a whole. Everything else is the fault of a statement, so of a job.
_TROUBLE: Final = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.IOError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
    apsw.ConnectionClosedError,
)


def store_trouble(error: apsw.Error) -> StoreUnavailableError | None:
    """Return the store's word for an error; None where a statement is at fault."""
    if isinstance(error, apsw.FullError):
        return DiskFullError(str(error))
    if isinstance(error, _TROUBLE):
        return StoreUnavailableError(f"{type(error).__name__}: {error}")
    return None


def refuse_old_sqlite(version: str | None = None) -> None:
    """Raise StoreUnavailableError when SQLite is older than is safe."""
    version = version or apsw.sqlite_lib_version()
    if tuple(map(int, version.split(".")[:3])) < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        msg = f"SQLite {version} is too old, {oldest} is needed: update the package apsw"
        raise StoreUnavailableError(msg)


def connect(path: Path, *, readable_only: bool = False) -> apsw.Connection:
    """Open a connection with our settings. Raises apsw.Error.

    Checkpoints are nobody's by-work: a thread of their own does them (`sqlite_checkpoint`).
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=_STATEMENTS)
    connection.set_busy_timeout(_BUSY)
    connection.wal_autocheckpoint(0)
    # FULL: a commit in WAL mode is synced before it is told (NORMAL would not sync it).
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA mmap_size = 0")
    if readable_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def set_synchronous(connection: apsw.Connection, *, syncs: bool) -> None:
    """Have commits synced before they are told (FULL), or left to the next one that is. Not within a
    transaction. Raises apsw.Error.
    """
    # It acts while it is compiled: a statement that was kept would do nothing.
    level = "FULL" if syncs else "NORMAL"
    connection.execute(f"PRAGMA synchronous = {level}", can_cache=False)


def write_again(connection: apsw.Connection, log: Path) -> None:
    """Write what is committed in a write-ahead log once more, and sync it: a kernel whose sync failed
    holds it for written, and may never try again. What failed behind it is cut off. Nobody may write to
    it meanwhile.

    Raises:
        StoreUnavailableError: the disk gave trouble again.
        apsw.Error: other trouble.

    """
    frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    size = connection.execute("PRAGMA page_size").get
    end = _LOG_HEAD + frames * (_FRAME_HEAD + size) if frames else 0
    try:
        file = os.open(log, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_trouble(error) from error
    try:
        at = 0
        while octets := os.pread(file, min(_BLOCK, end - at), at):
            at += os.pwrite(file, octets, at)
        os.ftruncate(file, end)
        os.fdatasync(file)
    except OSError as error:
        raise disk_trouble(error) from error
    finally:
        os.close(file)


def use_log(connection: apsw.Connection) -> None:
    """Have changes go to the write-ahead log, where they do not: a copy made by VACUUM INTO has none.

    Raises:
        StoreUnavailableError: somebody else uses the database without, or the disk gave trouble.
        apsw.Error: other trouble.

    """
    mode = connection.execute("PRAGMA journal_mode = WAL").get
    if mode != "wal":
        msg = f"the database cannot be given a write-ahead log now (its journal mode is {mode})"
        raise StoreUnavailableError(msg)
