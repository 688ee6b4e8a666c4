"""Ask an SQL database that is somebody else's, and only ever read it: an SQLite file, PostgreSQL.

One row or more per account; a column's name says what it is. Parameters are never part of the text
of a question.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import apsw

from gatepost.model.secret import Secret

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[dict[str, Any]]

#: More rows than this are no account's.
MOST_ROWS: Final = 1000
_PARAMETER: Final = re.compile(r"(?<![:\w]):(name|local|domain)\b", re.ASCII)
#: SQLite looks at the clock after so many of its instructions.
_INSTRUCTIONS: Final = 1000
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
#: Octets of an answer from a database that are shown.
_WORDS: Final = 200

Row = Mapping[str, Any]


class SqlError(Exception):
    """No answer that one can go by, about this name at least; says why, never a password."""


class SqlAwayError(SqlError):
    """The database does not answer, whatever it is asked."""


class SqliteFile:
    """A file that others write. Opened for each question: it may be replaced at any time."""

    def __init__(self, path: Path, query: str, *, timeout: float) -> None:
        self._path = path
        self._query = query
        self._timeout = timeout

    def rows(self, names: Mapping[str, str]) -> list[Row]:
        """Return what there is about a name. Blocking, for a thread.

        Raises:
            SqlError: the file cannot be read, the question is wrong, or it takes too long.

        """
        end = time.monotonic() + self._timeout
        try:
            connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                connection.set_busy_timeout(int(self._timeout * 1000))
                connection.set_progress_handler(lambda: time.monotonic() >= end, _INSTRUCTIONS)
                return _bounded_rows(connection, self._query, names)
            finally:
                connection.close()
        except apsw.InterruptError:
            raise SqlAwayError(f"{self._path}: no answer within {self._timeout:g} s") from None
        except (apsw.CantOpenError, apsw.BusyError, apsw.NotADBError, apsw.IOError) as problem:
            raise SqlAwayError(f"{self._path}: {_short(problem)}") from None
        except apsw.Error as problem:
            raise SqlError(f"{self._path}: {_short(problem)}") from None


def _bounded_rows(connection: apsw.Connection, query: str, names: Mapping[str, str]) -> list[Row]:
    cursor = connection.cursor()
    used = {name: names[name] for name in _PARAMETER.findall(query)}
    found: list[Row] = []
    for values in cursor.execute(query, used):
        columns = [column for column, _ in cursor.get_description()]
        found.append(dict(zip(columns, values, strict=True)))
        if len(found) > MOST_ROWS:
            msg = f"more than {MOST_ROWS} rows for one name"
            raise SqlError(msg)
    return found


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Where to ask. `timeout` in seconds, for connecting and for an answer."""

    url: str
    query: str
    timeout: float
    password: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None


class Postgres:
    """Keeps connections that are not in use for the next question; the caller bounds how many."""

    def __init__(self, settings: PostgresSettings) -> None:
        """Take the settings. Raises ImportError without psycopg."""
        import psycopg  # noqa: F401, PLC0415 - said at the start, not at the first login

        self._settings = settings
        # For this transaction alone: behind a pooler the next one may be somebody else's.
        self._bound = f"SET LOCAL statement_timeout = {int(settings.timeout * 1000)}"
        self._query = _PARAMETER.sub(r"%(\1)s", settings.query.replace("%", "%%"))
        self._idle: list[Connection] = []

    async def rows(self, names: Mapping[str, str]) -> list[Row]:
        """Return what there is about a name.

        Raises:
            SqlError: nobody answers, the question is wrong, or it takes too long.

        """
        import psycopg  # noqa: PLC0415

        timeout = self._settings.timeout
        try:
            async with asyncio.timeout(timeout):
                kept = bool(self._idle)
                try:
                    return await self._ask(names)
                except psycopg.OperationalError:
                    if not kept:
                        raise
                    # The server was started anew: none of the old connections is good.
                    await self.close()
                    return await self._ask(names)
        except TimeoutError:
            raise SqlAwayError(f"{self._where}: no answer within {timeout:g} s") from None
        except (psycopg.OperationalError, OSError) as problem:
            raise SqlAwayError(f"{self._where}: {_short(problem)}") from None
        except psycopg.Error as problem:
            raise SqlError(f"{self._where}: {_short(problem)}") from None

    async def close(self) -> None:
        """Close what is not in use."""
        while self._idle:
            await self._idle.pop().close()

    @property
    def _where(self) -> str:
        parts = urlsplit(self._settings.url)
        return f"{parts.hostname or 'local socket'}{parts.path}"

    async def _ask(self, names: Mapping[str, str]) -> list[Row]:
        connection = self._idle.pop() if self._idle else await self._connect()
        is_good = False
        try:
            async with connection.transaction():  # READ ONLY
                await connection.execute(self._bound)
                cursor = await connection.execute(self._query, dict(names))
                found: list[Row] = [*await cursor.fetchmany(MOST_ROWS + 1)]
            is_good = True
        finally:
            if is_good:
                self._idle.append(connection)
            else:
                await connection.close()
        if len(found) > MOST_ROWS:
            msg = f"more than {MOST_ROWS} rows for one name"
            raise SqlError(msg)
        return found

    async def _connect(self) -> "Connection":
        import psycopg  # noqa: PLC0415
        from psycopg.rows import dict_row  # noqa: PLC0415

        settings = self._settings
        more: dict[str, Any] = {}
        if settings.password is not None:
            more["password"] = settings.password.reveal()
        if "sslmode=" not in settings.url and not _is_here(settings.url):
            more |= {"sslmode": "verify-full", "sslrootcert": str(settings.ca_file or "system")}
        elif settings.ca_file is not None:
            more["sslrootcert"] = str(settings.ca_file)
        connection = await psycopg.AsyncConnection.connect(
            settings.url,
            row_factory=dict_row,
            autocommit=True,
            prepare_threshold=None,  # a pooler may hand the next question to another server
            application_name="gatepost",
            **more,
        )
        await connection.set_read_only(True)
        return connection


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname
    return host is None or host in _LOOPBACK


def _short(problem: Exception) -> str:
    words = " ".join(str(problem).split()) or type(problem).__name__
    return words[:_WORDS]
