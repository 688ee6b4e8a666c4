"""From `[[auth.directories]]` to the directories that are asked."""

import asyncio
import errno
import ssl
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gatepost.identity.foreign import ForeignDirectories, ForeignDirectory, Placed
from gatepost.identity.foreign_account import usual
from gatepost.identity.foreign_http import HttpDirectory, HttpSettings
from gatepost.identity.foreign_ldap import LdapDirectory
from gatepost.identity.foreign_sql import SqlDirectory, SqlSource
from gatepost.identity.passwords import PasswordChecker
from gatepost.model.secret import Secret
from gatepost.net.ldap import LdapClient, LdapSettings
from gatepost.net.sql import Postgres, PostgresSettings, Row, SqliteFile

if TYPE_CHECKING:
    from gatepost.model.settings_directory import DirectorySettings

_SQLITE: Final = "sqlite:"


class MissingLibraryError(Exception):
    """A directory needs a library that is not installed; says how to get it."""


def check_means(directories: "Iterable[DirectorySettings]") -> None:
    """Look whether what directories need is there and can be read, by whoever calls.

    Raises:
        OSError: a file cannot be read, or `ca_file` holds no certificate.
        UnicodeDecodeError: a secret is not text.
        MissingLibraryError: a library is missing.

    """
    for directory in directories:
        _secret(directory)
        if directory.ca_file is not None:
            _check_authorities(directory.ca_file)
        if directory.kind == "ldap":
            _need("ldap3", "ldap", directory)
        elif directory.kind == "sql" and not (directory.database or "").startswith(_SQLITE):
            _need("psycopg", "postgres", directory)


def build_foreign(
    directories: "Iterable[DirectorySettings]", checker: PasswordChecker
) -> ForeignDirectories | None:
    """Return the directories in their order; None where there are none.

    Raises:
        OSError, UnicodeDecodeError, MissingLibraryError: as `check_means` does.

    """
    placed = [
        Placed(
            build_directory(each, checker),
            each.match,
            each.remember,
            usual(each.lane, each.hourly, each.daily),
        )
        for each in directories
    ]
    return ForeignDirectories(placed) if placed else None


def build_directory(directory: "DirectorySettings", checker: PasswordChecker) -> ForeignDirectory:
    """Return one directory; `checker` is for hashes. Raises as `check_means` does."""
    check_means([directory])
    secret, timeout = _secret(directory), directory.timeout.total_seconds()
    at_once = directory.connections
    if directory.kind == "ldap":
        client = LdapClient(_ldap(directory, secret))
        return LdapDirectory(directory.name, client, at_once=at_once, timeout=timeout)
    if directory.kind == "sql":
        return SqlDirectory(directory.name, _sql(directory, secret), checker, at_once=at_once)
    settings = HttpSettings(directory.url or "", secret, timeout, directory.ca_file)
    return HttpDirectory(directory.name, settings, at_once=at_once)


def _ldap(directory: "DirectorySettings", secret: Secret) -> LdapSettings:
    return LdapSettings(
        servers=directory.servers,
        starttls=directory.starttls,
        timeout=directory.timeout.total_seconds(),
        ca_file=directory.ca_file,
        base=directory.base or "",
        filter=directory.filter or "",
        user_dn=directory.user_dn,
        reader_dn=directory.reader_dn,
        reader_password=secret,
        attributes=directory.sender_attributes,
        suspended_filter=directory.suspended_filter,
    )


def _sql(directory: "DirectorySettings", secret: Secret) -> SqlSource:
    database, query = directory.database or "", directory.query or ""
    timeout = directory.timeout.total_seconds()
    # Only a query that asks for keys can bring some.
    has_keys = "scram" in query.lower()
    if database.startswith(_SQLITE):
        path = Path(database.removeprefix(_SQLITE))
        return _of_file(SqliteFile(path, query, timeout=timeout), directory, has_keys=has_keys)
    server = Postgres(
        PostgresSettings(
            database,
            query,
            timeout,
            secret if directory.secret_file is not None else None,
            directory.ca_file,
        )
    )
    return SqlSource(server.rows, server.close, has_keys)


def _of_file(file: SqliteFile, directory: "DirectorySettings", *, has_keys: bool) -> SqlSource:
    pool = ThreadPoolExecutor(directory.connections, thread_name_prefix=f"sql {directory.name}")

    async def rows(names: Mapping[str, str]) -> list[Row]:
        return await asyncio.get_running_loop().run_in_executor(pool, file.rows, names)

    async def close() -> None:
        pool.shutdown(wait=False, cancel_futures=True)

    return SqlSource(rows, close, has_keys)


def _secret(directory: "DirectorySettings") -> Secret:
    if directory.secret_file is None:
        return Secret("")
    text = directory.secret_file.read_text("utf-8").strip()
    if not text:
        raise OSError(errno.EINVAL, "it is empty", str(directory.secret_file))
    if any(c < " " or c == "\x7f" for c in text):
        # A header field of HTTP cannot hold it, and nobody means it.
        words = "it holds more than one line, or a control character"
        raise OSError(errno.EINVAL, words, str(directory.secret_file))
    return Secret(text)


def _check_authorities(path: Path) -> None:
    """Look for certificates, in a context that nobody keeps: the file may change."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise OSError(errno.EINVAL, "it holds no certificate", str(path)) from None
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from None


def _need(module: str, extra: str, directory: "DirectorySettings") -> None:
    if find_spec(module) is None:
        msg = f'directory "{directory.name}" needs more: pip install "gatepost[{extra}]"'
        raise MissingLibraryError(msg)
