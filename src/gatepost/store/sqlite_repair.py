"""Bring over what a damaged database still tells into a new one; the damaged one is kept as it is.

Rows are read along each table from both ends up to where the damage begins. What lies between two
damaged pages is asked for by its key, as far as an index or another table names it; what hangs below a
damaged page is read page by page (`sqlite_pages`), where its form tells whose it is.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw

from gatepost.store.content_identity import WORN, recognise
from gatepost.store.days import day_tables
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.segments import make_directory, sync_directory
from gatepost.store.sqlite_connection import connect
from gatepost.store.sqlite_pages import Pages, Value
from gatepost.store.sqlite_place import CONTENT, DATABASE, store_lock
from gatepost.store.sqlite_restore import Journal, Restored, count_events, restore
from gatepost.store.sqlite_schema import DAY_TABLES, VERSIONS, make_day_table
from gatepost.store.sqlite_upgrade import migrate

_NEW: Final = f"{DATABASE}.new"
_BESIDE: Final = ("-wal", "-shm")
#: Rows of a table with numbers for keys that are stepped over at once, looking for readable ones.
_STRIDE: Final = 16
_MOST_STRIDES: Final = 100_000
#: What a column of a strict table may hold.
_TYPES: Final = {
    "TEXT": (str, type(None)),
    "INTEGER": (int, type(None)),
    "REAL": (float, type(None)),
    "BLOB": (bytes, type(None)),
}
#: Letters of an identifier (`model.ids`).
_ID: Final = 32
#: So many losses are named one by one.
_MOST_NAMED: Final = 1000
#: Which columns elsewhere name the keys of a table.
_NAMED_BY: Final = {
    "submission": ("delivery.submission_id", "content.submission_id", "notice.submission_id"),
    "content": ("delivery.submission_id", "submission.id"),
    "account": ("credential.account",),
    "domain": ("dkim_key.domain",),
}
#: Tables whose rows are told from all others by their form, and which hold what must not be lost.
_BY_FORM: Final = {"submission", "content", "delivery", "account", "credential", "dkim_key"}
#: What was lost, named by what was not, and what becomes of the rest.
_LOSSES: Final = (
    (
        (
            "SELECT d.id, d.forward_path FROM delivery AS d"
            " WHERE NOT EXISTS (SELECT 1 FROM submission AS s WHERE s.id = d.submission_id)"
        ),
        "delivery {} to {}: its message is lost, and it cannot be sent",
        "DELETE FROM delivery WHERE submission_id NOT IN (SELECT id FROM submission)",
    ),
    (
        (
            "SELECT d.id, d.forward_path FROM delivery AS d"
            " WHERE NOT EXISTS (SELECT 1 FROM content AS c WHERE c.submission_id = d.submission_id)"
        ),
        "delivery {} to {}: where its content lies is lost; it is held",
        (
            "UPDATE delivery SET state = 2, ready_at = NULL, worker = NULL,"
            " reason = 'its content was lost with a damaged database'"
            " WHERE submission_id NOT IN (SELECT submission_id FROM content)"
        ),
    ),
    (
        (
            "SELECT id, reverse_path FROM submission AS s WHERE finished_at IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM delivery AS d WHERE d.submission_id = s.id)"
        ),
        "message {} from <{}>: whom it was for, or what became of it, is lost",
        (
            "UPDATE submission SET finished_at = received_at WHERE finished_at IS NULL"
            " AND id NOT IN (SELECT submission_id FROM delivery)"
        ),
    ),
    (
        (
            "SELECT DISTINCT account, 'credentials' FROM credential"
            " WHERE account NOT IN (SELECT name FROM account)"
        ),
        "account {}: lost; its {} cannot be used",
        "DELETE FROM credential WHERE account NOT IN (SELECT name FROM account)",
    ),
)
_TIDY: Final = (
    (
        "INSERT OR IGNORE INTO domain (name, created_at, unproven) SELECT domain, min(created_at),"
        " EXISTS (SELECT 1 FROM domain_claim AS c WHERE c.domain = k.domain AND c.proven_at IS NULL)"
        " FROM dkim_key AS k GROUP BY domain"
    ),
    "DELETE FROM notice WHERE submission_id NOT IN (SELECT id FROM submission)",
    (
        "DELETE FROM content WHERE keep_until IS NULL AND submission_id NOT IN"
        " (SELECT submission_id FROM delivery UNION SELECT submission_id FROM notice)"
    ),
)


@dataclass(slots=True)
class Repair:
    """What came of a repair."""

    #: Where the damaged files are kept.
    kept: Path
    #: How many rows of each table were brought over.
    rows: dict[str, int] = field(default_factory=dict)
    #: Tables that could not be read to their end.
    torn: list[str] = field(default_factory=list)
    #: What is known to be lost, one sentence each.
    lost: list[str] = field(default_factory=list)
    #: What segments and journal gave back.
    restored: Restored = field(default_factory=Restored)


def repair(data_dir: Path, kept: Path, journal: Journal, now: datetime) -> Repair:
    """Replace the database by one with all that can be read of it. Nobody may use it meanwhile.

    Args:
        data_dir: the state directory.
        kept: a directory, not there yet, for the damaged files; on the same disk.
        journal: what is known beside the database.
        now: the time.

    Raises:
        StoreUnavailableError: nothing can be read of it, its contents are away, or a disk is in the
            way; the database is as it was.

    """
    done = Repair(kept)
    try:
        with store_lock(data_dir):
            recognise(data_dir / CONTENT)
            _keep(data_dir, kept)
            new = data_dir / _NEW
            _remove(new)
            _build(kept / DATABASE, new, data_dir, done, _Beside(journal, now))
            _remove_beside(data_dir / DATABASE)
            new.replace(data_dir / DATABASE)
            sync_directory(data_dir)
    except (OSError, apsw.Error) as error:
        raise StoreUnavailableError(f"{type(error).__name__}: {error}") from error
    return done


@dataclass(frozen=True, slots=True)
class _Beside:
    """What is known beside the database."""

    journal: Journal
    now: datetime


def _keep(data_dir: Path, kept: Path) -> None:
    """Copy the database, and link the segments: what is tidied away later stays there."""
    make_directory(kept)
    for name in (DATABASE, f"{DATABASE}-wal"):
        if (data_dir / name).exists():
            shutil.copyfile(data_dir / name, kept / name)
            (kept / name).chmod(0o600)
            with (kept / name).open("rb") as file:
                os.fsync(file.fileno())
    make_directory(kept / CONTENT)
    contents = data_dir / CONTENT
    for path in (*contents.glob("*.seg"), *contents.glob(WORN)):
        os.link(path, kept / CONTENT / path.name)
    sync_directory(kept)


def _build(damaged: Path, new: Path, data_dir: Path, done: Repair, beside: _Beside) -> None:
    # Looked at in a copy of the copy: SQLite writes beside what it reads.
    shown = new.with_name(f"{new.name}-source")
    _remove(shown)
    for end in ("", "-wal"):
        if damaged.with_name(damaged.name + end).exists():
            shutil.copyfile(damaged.with_name(damaged.name + end), f"{shown}{end}")
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    source = _opened(shown) if shown.exists() else None
    shown.touch()
    target = connect(new)
    try:
        migrate(target, data_dir)
        if source is not None:
            for table in day_tables(source.execute(DAY_TABLES, ("delivery_", "event`"))):
                kind, _, day = table.partition("_")
                make_day_table(target, kind, day)
            with suppress(apsw.Error):
                source.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        with target:
            _bring_over(source, target, done, Pages(shown))
            done.restored = restore(
                target,
                data_dir / CONTENT,
                beside.journal,
                beside.now,
                is_counted=source is not None and "counter" not in done.torn,
                is_logged=source is not None and "segment_log" not in done.torn,
            )
            done.lost += done.restored.lost
            _settle(target, done)
            count_events(target, done.restored.last_position, done.restored.events)
        target.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        if source is not None:
            source.close(force=True)
        target.close(force=True)
        _remove(shown)
    _remove_beside(new)


def _opened(shown: Path) -> apsw.Connection | None:
    """Return the damaged database, None where even its list of tables cannot be read.

    Raises:
        StoreUnavailableError: another version of the program wrote it.

    """
    try:
        source = connect(shown)
        version = source.execute("PRAGMA user_version").get
        list(source.execute(DAY_TABLES, ("delivery_", "event`")))
    except apsw.Error:
        return None
    if version != len(VERSIONS):
        source.close(force=True)
        msg = f"it has version {version}, this program {len(VERSIONS)}: use the one that wrote it"
        raise StoreUnavailableError(msg)
    return source


def _bring_over(
    source: apsw.Connection | None, target: apsw.Connection, done: Repair, pages: Pages
) -> None:
    names = target.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    # What other tables name comes last.
    order = sorted((str(row[0]) for row in names), key=lambda name: (name in _NAMED_BY, name))
    tables = [_Table(source, target, name) for name in order]
    for table in tables:
        table.bring_over(done)
    torn = [table for table in tables if table.name in done.torn and table.name in _BY_FORM]
    for row in pages.rows() if torn else ():
        for table in torn:
            table.offer(row)
    for table in torn:
        done.rows[table.name] = len(table)


class _Table:
    """One table, read from a damaged database and written to a new one."""

    def __init__(self, source: apsw.Connection | None, target: apsw.Connection, name: str) -> None:
        self._source, self._target, self.name = source, target, name
        columns = list(target.execute(f"PRAGMA table_info({name})"))
        self._columns = ", ".join(column[1] for column in columns)
        keys = sorted((column[5], column[1]) for column in columns if column[5])
        self._key = [name for _, name in keys]
        self._order = ", ".join(self._key)
        self._places = [i for _, key in keys for i, c in enumerate(columns) if c[1] == key]
        marks = ", ".join("?" * len(columns))
        self._insert = f"INSERT OR REPLACE INTO {name} ({self._columns}) VALUES ({marks})"  # noqa: S608
        # As they stand on a page: the key first.
        rest = [i for i in range(len(columns)) if i not in self._places]
        self._stand = [*self._places, *rest]
        self._types = [_TYPES[str(column[2])] for column in columns]
        #: How long the key's text is; 0: any length.
        self._id = _ID if name in {"submission", "content", "delivery"} else 0
        self._has_numbers = len(self._key) == 1 and columns[self._places[0]][2] == "INTEGER"
        self._seen: set[tuple[Any, ...]] = set()

    def bring_over(self, done: Repair) -> None:
        """Write every row that can be read."""
        is_whole = self._read("")
        if not is_whole:
            done.torn.append(self.name)
            first = set(self._seen)
            self._read(" DESC")
            if self._has_numbers:
                self._stride(first)
            for key in self._named():
                if key not in self._seen:
                    self._read("", f"WHERE ({self._order}) = ({', '.join('?' * len(key))})", key)
        done.rows[self.name] = len(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def offer(self, values: tuple[Value, ...]) -> None:
        """Write a row that stood on some page, if it can be one of this table that is missing."""
        key = values[: len(self._key)]
        if len(values) != len(self._stand) or key in self._seen:
            return
        if self._id and not (isinstance(key[0], str) and len(key[0]) == self._id):
            return
        row = [value for _, value in sorted(zip(self._stand, values, strict=True), key=_place)]
        if not all(isinstance(v, t) for v, t in zip(row, self._types, strict=True)):
            return  # SQLite would make a text of a number
        with suppress(apsw.ConstraintError, apsw.MismatchError):
            self._target.execute(self._insert, row)
            self._seen.add(key)

    def _read(self, direction: str, where: str = "", bindings: Sequence[Any] = ()) -> bool:
        """Write rows until the end or damage; tell which."""
        order = ", ".join(f"{key}{direction}" for key in self._key)
        sql = f"SELECT {self._columns} FROM {self.name} {where} ORDER BY {order}"  # noqa: S608
        is_whole = True
        for row in _until_damage(self._source, sql, bindings):
            if row is None:
                is_whole = False
                break
            key = tuple(row[place] for place in self._places)
            if key in self._seen:
                if direction or where:
                    break
                continue
            try:
                self._target.execute(self._insert, row)
            except (apsw.ConstraintError, apsw.MismatchError):
                is_whole = False  # what stands there is no row of ours
            else:
                self._seen.add(key)
        return is_whole

    def _stride(self, first: set[tuple[Any, ...]]) -> None:
        """Step over damage where keys are numbers, from the front's end to the back's beginning."""
        low = max((key[0] for key in first), default=0)
        high = min((key[0] for key in self._seen - first), default=low)
        for number, at in enumerate(range(low + _STRIDE, high, _STRIDE)):
            if number > _MOST_STRIDES:
                return
            if (at,) not in self._seen:
                self._read("", f"WHERE {self._key[0]} >= ?", (at,))

    def _named(self) -> Iterator[tuple[Any, ...]]:
        """Return keys that indexes of this table, and other tables, name."""
        indexes = f"SELECT name FROM pragma_index_list('{self.name}') WHERE partial = 0"  # noqa: S608
        for row in self._target.execute(indexes).fetchall():
            if not str(row[0]).startswith("sqlite_"):
                sql = f"SELECT {self._order} FROM {self.name} INDEXED BY {row[0]}"  # noqa: S608
                yield from (key for key in _until_damage(self._source, sql) if key is not None)
        for named in _NAMED_BY.get(self.name, ()):
            table, _, column = named.partition(".")
            yield from self._target.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()  # noqa: S608


def _place(pair: tuple[int, Value]) -> int:
    return pair[0]


def _until_damage(
    source: apsw.Connection | None, sql: str, bindings: Iterable[Any] = ()
) -> Iterator[tuple[Any, ...] | None]:
    """Return rows; None where nothing more can be read."""
    if source is None:
        yield None
        return
    try:
        yield from source.execute(sql, tuple(bindings))
    except apsw.Error:
        yield None


def _settle(target: apsw.Connection, done: Repair) -> None:
    """Name what is lost, and make the rest whole."""
    for table in day_tables(target.execute(DAY_TABLES, ("delivery_", "delivery`"))):
        # What is finished is finished, though an older page still shows it in the queue.
        target.execute(f"DELETE FROM delivery WHERE id IN (SELECT id FROM {table})")  # noqa: S608
        target.execute(
            f"DELETE FROM {table} WHERE submission_id NOT IN (SELECT id FROM submission)"  # noqa: S608
        )
        if count := target.changes():
            done.lost.append(f"{count} finished deliveries ({table}): their messages are lost")
    for question, words, change in _LOSSES:
        found = target.execute(question).fetchall()
        done.lost += [words.format(*row) for row in found[:_MOST_NAMED]]
        if len(found) > _MOST_NAMED:
            done.lost.append(f"… and {len(found) - _MOST_NAMED} more")
        target.execute(change)
    for change in _TIDY:
        target.execute(change)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _remove_beside(path)


def _remove_beside(path: Path) -> None:
    for end in _BESIDE:
        path.with_name(path.name + end).unlink(missing_ok=True)
