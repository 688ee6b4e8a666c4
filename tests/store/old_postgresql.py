"""Databases of versions of the schema in PostgreSQL, as pg_dump wrote them down:
tests/store/schemas/postgresql-VERSION.sql.

    python -m tests.store.old_postgresql     writes what is not there yet

As with SQLite's (`old_databases`): each has rows in every table of its version, and is written once.
Those before 7 were made from it by leaving out what they had not.
"""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from gatepost.model.ids import WorkerId
from gatepost.store.postgresql import open_postgresql
from gatepost.store.postgresql_connection import Address
from gatepost.store.postgresql_schema import VERSIONS, day_table_statements
from tests.store.makers import NOON
from tests.store.old_databases import SCHEMAS, fill_store
from tests.support.postgresql import PostgresServer, shared_server

#: The first that was written down.
FIRST: Final = 5
#: The first program that noted how far `post` had come.
TIDIED: Final = 7
_TABLES: Final = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    " ORDER BY relname"
)
_COLUMNS: Final = (
    "SELECT table_name, column_name, data_type, is_nullable, collation_name, identity_generation"
    " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
)
_INDEXES: Final = (
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
)
#: Lines of pg_dump that older servers, or libpq, do not know; and remarks.
_NOT_FOR_ALL: Final = re.compile(r"^(?:SET |SELECT pg_catalog.set_config|\\|--).*\n", re.MULTILINE)


def path_of(version: int) -> Path:
    """Return where a version's database is written down."""
    return SCHEMAS / f"postgresql-{version:02d}.sql"


def load(version: int, url: str) -> None:
    """Fill an empty database as that version left it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(path_of(version).read_bytes())


def tables(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in connection.execute(_TABLES.encode())]


def shape(connection: psycopg.Connection) -> list[list[object]]:
    """Return what makes up the tables: their columns, in any order, and indexes."""
    return [connection.execute(query.encode()).fetchall() for query in (_COLUMNS, _INDEXES)]


def shape_but_days(connection: psycopg.Connection) -> list[object]:
    """Return the shape of all but the daily tables."""
    return [[row for row in rows if "_2026" not in str(row)] for rows in shape(connection)]


def columns(connection: psycopg.Connection, table: str) -> list[str]:
    found = connection.execute(_COLUMNS.encode()).fetchall()
    return [row[1] for row in found if row[0] == table]


def rows(connection: psycopg.Connection, table: str, names: list[str]) -> list[object]:
    """Return some columns of a table, in an order that does not change."""
    wanted = sql.SQL(", ").join(map(sql.Identifier, names))
    query = sql.SQL("SELECT {} FROM {}").format(wanted, sql.Identifier(table))
    return sorted(connection.execute(query).fetchall(), key=repr)


def _make_former(version: int, present: psycopg.Connection, former: psycopg.Connection) -> None:
    """Make what a version had of the present one."""
    for each in VERSIONS[:version]:
        former.execute(each.pre.encode())
    for table in tables(present):
        if (found := re.fullmatch(r"(delivery|event)_(\d{8})", table)) is not None:
            for statement in day_table_statements(found[1], found[2]):
                former.execute(statement.encode())
    former.execute(b"DELETE FROM counter")
    for table in set(tables(former)) - {"schema_mark"}:
        names = columns(former, table)
        values = sql.SQL(", ").join(sql.Placeholder() * len(names))
        into = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names)), values
        )
        for row in rows(present, table, names):
            former.execute(into, row)
    former.execute(b"SELECT setval('suppression_number_seq', max(number)) FROM suppression")
    former.execute("INSERT INTO schema_mark VALUES ('version', %s), ('oldest', 0)", (version,))
    if version >= TIDIED:
        former.execute("INSERT INTO schema_mark VALUES ('tidied', %s)", (version,))


def _dump(server: PostgresServer, database: str) -> str:
    done = subprocess.run(
        [
            str(server.client_programs / "pg_dump"),
            *("--inserts", "--no-owner", "--no-privileges", "--no-comments"),
            server.url(database),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    text = _NOT_FOR_ALL.sub("", done.stdout)
    return re.sub(r"\n{2,}", "\n", text).lstrip()


def write_all() -> None:
    """Write down the versions that are not yet."""
    server = shared_server()
    server.execute("CREATE DATABASE present")

    async def fill() -> None:
        address = Address(server.url("present"))
        store = await open_postgresql(address, WorkerId("node/1/0"), clock=lambda: NOON)
        await fill_store(store)
        await store.close()

    asyncio.run(fill())
    with psycopg.connect(server.url("present"), autocommit=True) as present:
        empty = [
            name for name in tables(present) if not rows(present, name, columns(present, name))
        ]
        left = set(empty) - {"content_more"}
        assert not left, f"no rows in {left}: fill them in, in old_databases"
        for version in range(FIRST, len(VERSIONS) + 1):
            if path_of(version).exists():
                continue
            name = f"version{version}"
            server.execute(f"CREATE DATABASE {name}")
            with psycopg.connect(server.url(name), autocommit=True) as former:
                _make_former(version, present, former)
            path_of(version).write_text(_dump(server, name))


if __name__ == "__main__":
    write_all()
