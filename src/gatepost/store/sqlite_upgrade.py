"""A database brought to the present version: `pre` at once, `post` when no older program is left.

Which programs use a store is told by locks: each holds a shared one on `program-VERSION.lock`, so
that the kernel lets go of it whatever end the program takes. Locks are taken and asked for under
the store's lock, so that none comes between question and deed.
"""

import fcntl
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import apsw

from gatepost.store.days import day_tables
from gatepost.store.keeper import Content
from gatepost.store.protocols import NewerDatabaseError, StoreUnavailableError
from gatepost.store.rows import Row
from gatepost.store.schema import Marks, Version, numbers
from gatepost.store.segments import segments, size
from gatepost.store.sqlite_connection import use_log
from gatepost.store.sqlite_place import CONTENT
from gatepost.store.sqlite_reading import SqliteReading
from gatepost.store.sqlite_redo import LOG
from gatepost.store.sqlite_schema import DAY_TABLES, VERSIONS
from gatepost.store.sqlite_transaction import SqliteTransaction
from gatepost.store.upgrade import RAISE_MARK, Upgrade

#: "Gate", so that file(1) can tell whose database it is.
_APPLICATION_ID: Final = 0x47617465
_PROGRAM: Final = re.compile(r"program-(\d{1,6})\.lock", re.ASCII)
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
#: The first version that knows how far rows tell of segments.
_SEGMENTS_LOGGED: Final = 25
_HAS_MARKS: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_mark'"


def read_marks(rows: Callable[[str], Iterable[Row]]) -> Marks:
    """Return what a database says of its schema. Raises apsw.Error."""
    ((found,),) = rows("PRAGMA user_version")
    version = int(found)
    if not list(rows(_HAS_MARKS)):
        # Before there were marks, nothing was left for later, and nobody newer was welcome.
        return Marks(version, version, version)
    marks: dict[str, int] = {row[0]: row[1] for row in rows("SELECT name, value FROM schema_mark")}
    return Marks(version, marks.get("oldest", version), marks.get("tidied", version))


def refuse_newer(connection: apsw.Connection) -> None:
    """Raise NewerDatabaseError where this program is too old for a database."""
    marks = read_marks(connection.execute)
    if not marks.admit(len(VERSIONS)):
        # Else closing the last connection would copy its WAL.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        msg = (
            f"the database has version {marks.version} and wants programs that know"
            f" {marks.oldest}, this one knows {len(VERSIONS)}"
        )
        raise NewerDatabaseError(msg)


def migrate(connection: apsw.Connection, data_dir: Path) -> None:
    """Bring a database to the present version but for `post`, all or nothing. A new one has
    nobody to wait for: it gets that, too. Called under the store's lock.

    Raises:
        NewerDatabaseError: this program is too old for it; nothing was touched.
        StoreUnavailableError: an older program is at work that could not go on.
        apsw.Error: trouble.

    """
    refuse_newer(connection)
    marks = read_marks(connection.execute)
    if marks.version >= len(VERSIONS):
        return
    if marks.must_be_alone(VERSIONS) and (others := older_programs(data_dir, len(VERSIONS))):
        msg = (
            f"a gatepost that knows version {others[-1]} uses the database and could not go on with"
            f" version {len(VERSIONS)}; stop it first"
        )
        raise StoreUnavailableError(msg)
    use_log(connection)
    with connection:
        for number in numbers(marks.version, VERSIONS):
            _bring_to(connection, VERSIONS[number - 1], is_new=marks.version == 0)
        if 0 < marks.version < _SEGMENTS_LOGGED:
            _log_segments(connection, data_dir / CONTENT)
        after = marks.after_pre(VERSIONS)
        tidied = after.tidied if marks.version else len(VERSIONS)
        connection.execute(RAISE_MARK, ("oldest", after.oldest))
        connection.execute(RAISE_MARK, ("tidied", tidied))
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(VERSIONS)}")


def _bring_to(connection: apsw.Connection, version: Version, *, is_new: bool) -> None:
    connection.execute(version.pre)
    if version.daily:
        names = list(connection.execute(DAY_TABLES, ("delivery_", "delivery`")))
        for table in day_tables(names):
            connection.execute(version.daily.format(table=table))
    if is_new:
        for statement in version.post:
            connection.execute(statement)


def _log_segments(connection: apsw.Connection, directory: Path) -> None:
    """Have rows tell of all contents: those of older programs were accepted, or never will be."""
    ends = [(name, size(directory, name)) for name in segments(directory)]
    connection.executemany(LOG, ends)


def register_program(data_dir: Path) -> int:
    """Tell others that a program of this version uses the store, for as long as the file that is
    returned stays open. Called under the store's lock. Raises OSError.
    """
    file = os.open(data_dir / f"program-{len(VERSIONS)}.lock", _FLAGS, 0o600)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def older_programs(data_dir: Path, version: int) -> list[int]:
    """Return what those that use the store and know less than a version know, in order. Locks of
    versions that nobody has are removed. Called under the store's lock. Raises OSError.
    """
    used = []
    for entry in data_dir.iterdir():
        named = _PROGRAM.fullmatch(entry.name)
        if named is None or int(named[1]) >= version:
            continue
        file = os.open(entry, _FLAGS, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entry.unlink()
        except BlockingIOError:
            used.append(int(named[1]))
        finally:
            os.close(file)
    return sorted(used)


def upgrade(
    data_dir: Path,
    ask: Callable[[Callable[[SqliteReading], Any]], Awaitable[Any]],
    change: Callable[[Callable[[Any], Any], Content | None], Awaitable[Any]],
) -> Upgrade:
    """Return what is left to do; `ask` and `change` are the store's read and write."""

    def begin(number: int, transaction: SqliteTransaction) -> bool:
        if older_programs(data_dir, number):
            return False
        transaction.execute(RAISE_MARK, ("oldest", number))
        return True

    return Upgrade(VERSIONS, ask, change, lambda reading: read_marks(reading.rows), begin)
