"""Databases in PostgreSQL of earlier versions, and two programs on one: `pre` beside the older one,
`post` when it has gone.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from gatepost.identity.passwords import verify_password
from gatepost.model.account import Account
from gatepost.model.ids import AccountName, WorkerId
from gatepost.store import postgresql_transaction, postgresql_upgrade
from gatepost.store.postgresql import PostgresStore, open_postgresql, prepare
from gatepost.store.postgresql_connection import Address
from gatepost.store.postgresql_schema import VERSIONS
from gatepost.store.protocols import NewerDatabaseError, StoreAwayError, StoreUnavailableError
from gatepost.store.queue_view import QueueFilter
from gatepost.store.schema import Version
from gatepost.store.verify import verify
from tests.store import old_postgresql
from tests.store.makers import NOON, lease, settled
from tests.store.old_databases import ACCOUNT, CONTENT, PASSWORD
from tests.store.test_presences import said
from tests.support.postgresql import database_of

NOW = len(VERSIONS)
WRITTEN = range(old_postgresql.FIRST, NOW + 1)
#: All of them: those that were never written down are made anew from their statements.
ALL = range(1, NOW + 1)
ROWS = 700
FILL = (
    "UPDATE account SET sorted = name WHERE name IN"
    " (SELECT name FROM account WHERE sorted IS NULL LIMIT 500)"
)
NEXT = (
    *VERSIONS,
    Version("ALTER TABLE account ADD COLUMN sorted TEXT"),
    Version(
        "CREATE TABLE more (name TEXT PRIMARY KEY)",
        post=(FILL, "DROP INDEX IF EXISTS kept_key_age"),
    ),
)
ALONE = (
    *VERSIONS,
    Version(
        "ALTER TABLE account RENAME COLUMN senders TO grants",
        daily="ALTER TABLE {table} ADD COLUMN more TEXT",
        breaks=True,
    ),
)
MARKS = "SELECT name, value FROM schema_mark WHERE name NOT LIKE 'shut%'"

Program = Callable[..., AbstractAsyncContextManager[PostgresStore]]


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


def marks(url: str) -> dict[object, object]:
    return dict(query(url, MARKS))  # type: ignore[arg-type]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where an empty database is."""
    return database_of(tmp_path)


# -- what is written down


@pytest.mark.parametrize("version", WRITTEN)
async def test_a_program_of_today_works_with_an_old_database(url: str, version: int) -> None:
    assert old_postgresql.path_of(version).exists(), "python -m tests.store.old_postgresql"
    old_postgresql.load(version, url)
    with psycopg.connect(url, autocommit=True) as connection:
        before = {
            name: (names := old_postgresql.columns(connection, name),
                   old_postgresql.rows(connection, name, names))
            for name in old_postgresql.tables(connection) if name not in {"schema_mark", "counter"}
        }  # fmt: skip
    store = await open_postgresql(Address(url), WorkerId("node/1/0"), clock=lambda: NOON)
    with psycopg.connect(url, autocommit=True) as connection:
        for name, (names, rows) in before.items():
            assert old_postgresql.rows(connection, name, names) == rows, name
    (credential,) = await store.read(lambda r: r.credentials(ACCOUNT))
    assert verify_password(credential.verifier, PASSWORD)
    assert await verify(store) == []
    later = NOON + timedelta(minutes=10)  # leases of the former program have ended
    due = await store.write(lambda t: t.lease_due(later, lease(minutes=90), limit=9))
    assert due
    for one in due:
        assert await store.read(lambda r, one=one: r.content(one.submission.id)) == CONTENT
    await store.write(lambda t: t.settle([settled(one) for one in due]) and None)
    assert await store.read(lambda r: r.deliveries(QueueFilter(), limit=50))
    assert await verify(store) == []
    await store.tidy(NOON)
    await store.close()


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Return the shape of a new database."""
    url = database_of(tmp_path_factory.mktemp("present"))
    prepare(Address(url))
    with psycopg.connect(url) as connection:
        return old_postgresql.shape_but_days(connection)


@pytest.mark.parametrize("version", ALL)
def test_an_old_database_comes_to_have_the_same_tables_as_a_new_one(
    url: str, version: int, present: list[object]
) -> None:
    with psycopg.connect(url, autocommit=True) as old:
        for each in VERSIONS[:version]:
            old.execute(each.pre.encode())
        old.execute("INSERT INTO schema_mark VALUES ('version', %s), ('oldest', 0)", (version,))
        prepare(Address(url))
        for each in VERSIONS:
            for statement in each.post:
                old.execute(statement.encode())
        assert old_postgresql.shape_but_days(old) == present
    assert marks(url)["version"] == NOW


@pytest.mark.parametrize("version", WRITTEN)
def test_versions_of_the_past_are_as_they_were(url: str, version: int) -> None:
    """A released version is never edited: its tables are those that were written down."""
    with psycopg.connect(url, autocommit=True) as connection:
        for each in VERSIONS[:version]:
            connection.execute(each.pre.encode())
        made = old_postgresql.shape_but_days(connection)
        connection.execute(b"DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        old_postgresql.load(version, url)
        assert old_postgresql.shape_but_days(connection) == made


# -- two programs


@pytest.fixture
def time() -> list[datetime]:
    return [NOON]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, url: str, time: list[datetime]) -> Program:
    """Return what opens the store as a program that knows those versions."""

    @contextlib.asynccontextmanager
    async def opened(versions: Sequence[Version] = VERSIONS) -> AsyncIterator[PostgresStore]:
        for module in (postgresql_upgrade, postgresql_transaction):
            monkeypatch.setattr(module, "VERSIONS", versions)
        store = await open_postgresql(Address(url), WorkerId("node/1/0"))
        try:
            yield store
        finally:
            await store.close()

    return opened


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_upgrade, "_UNHEARD", timedelta(0))


async def announce(store: PostgresStore, url: str, known: int | None = NOW) -> None:
    """Have a worker of an older program heard just now."""
    await store.write(lambda t: t.beat(replace(said(), worker=WorkerId("old/0/1.1/"))) and None)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE presence SET knows = %s WHERE worker LIKE 'old/%%'", (known,))


async def put(store: PostgresStore, count: int) -> None:
    names = [AccountName(f"a{number:04d}@example.com") for number in range(count)]
    accounts = [Account(name=name, senders=(name,), created_at=NOON) for name in names]
    await store.write(lambda t: [t.put_account(one) for one in accounts] and None)


EMPTY = "SELECT count(*) FROM account WHERE sorted IS NULL"
INDEX = "SELECT count(*) FROM pg_indexes WHERE indexname = 'kept_key_age'"


async def test_a_worker_tells_how_new_its_program_is(program: Program, url: str) -> None:
    async with program(NEXT) as store:
        await store.write(lambda t: t.beat(said()) and None)
        assert query(url, "SELECT knows FROM presence") == [(NOW + 2,)]


@pytest.mark.parametrize("known", [NOW, None], ids=["tells", "does not tell"])
@pytest.mark.usefixtures("no_grace")
async def test_post_waits_for_the_last_older_program_and_then_shuts_the_door(
    program: Program, url: str, known: int | None
) -> None:
    async with program() as old:
        await put(old, ROWS)
    async with program(NEXT) as new:
        assert marks(url) == {"version": NOW + 2, "oldest": 0, "tidied": NOW + 1}
        await announce(new, url, known)
        await new.tidy(NOON)
        assert query(url, EMPTY) == [(ROWS,)]
        async with program() as another:  # of the former kind: comes in, too
            assert len(await another.read(lambda r: r.accounts())) == ROWS
    async with program(NEXT) as new:
        await new.write(lambda t: t.leave("old/"))
        await new.tidy(NOON)
        assert query(url, EMPTY) == [(0,)]
        assert query(url, INDEX) == [(0,)]
        assert marks(url) == {"version": NOW + 2, "oldest": NOW + 2, "tidied": NOW + 2}
        with pytest.raises(NewerDatabaseError, match=f"wants programs that know {NOW + 2}"):
            async with program():
                pass


async def test_who_is_not_heard_is_given_time_behind_the_shut_door(
    program: Program, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands announce nothing."""
    async with program() as old:
        await put(old, 3)
    async with program(NEXT) as new:
        await new.tidy(NOON)
        assert query(url, EMPTY) == [(3,)]
        assert marks(url)["oldest"] == NOW + 2
        # the time has not begun anew
        two_minutes = postgresql_upgrade._UNHEARD // timedelta(microseconds=1)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "UPDATE schema_mark SET value = value - %s WHERE name LIKE 'shut%%'", (two_minutes,)
            )
        await new.tidy(NOON)
        assert query(url, EMPTY) == [(0,)]


@pytest.mark.usefixtures("no_grace")
async def test_who_was_not_heard_for_long_is_not_waited_for(program: Program, url: str) -> None:
    async with program() as old:
        await put(old, 3)
    async with program(NEXT) as new:
        await announce(new, url)
        long_ago = postgresql_upgrade._HEARD // timedelta(microseconds=1)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE presence SET heard_at = heard_at - %s", (long_ago,))
        await new.tidy(NOON)
        assert query(url, EMPTY) == [(0,)]


@pytest.mark.usefixtures("no_grace")
async def test_post_is_done_in_portions_and_again_after_a_crash(
    program: Program, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with program() as old:
        await put(old, ROWS)
    async with program(NEXT) as new:
        await new.write(lambda t: t.execute(FILL) and None)
        portions = []
        change = new._commits.write

        async def counted(job: object, content: object = None) -> object:
            portions.append(await change(job, content))  # type: ignore[arg-type]
            return portions[-1]

        monkeypatch.setattr(new._commits, "write", counted)
        await new.tidy(NOON)
        assert portions[-6:-1] == [True, 200, 0, -1, 1]
    assert query(url, EMPTY) == [(0,)]


async def test_a_new_database_has_nothing_left_to_do(program: Program, url: str) -> None:
    async with program(NEXT):
        assert marks(url) == {"version": NOW + 2, "oldest": 0, "tidied": NOW + 2}
        assert query(url, INDEX) == [(0,)]


@pytest.mark.parametrize("version", [5, NOW])
async def test_what_would_break_an_older_program_waits_until_it_is_stopped(
    program: Program, url: str, version: int
) -> None:
    known = version if version >= 7 else 6  # before, programs did not tell
    old_postgresql.load(version, url)
    with psycopg.connect(url, autocommit=True) as connection:
        heard = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        connection.execute(f"UPDATE presence SET heard_at = {heard}".encode())
    with pytest.raises(StoreAwayError, match=rf"knows version {known} uses .*stop it first"):
        async with program(ALONE):
            pass
    assert marks(url)["version"] == version
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM presence")
    left = [number for number in range(version, NOW) if VERSIONS[number].post]
    async with program(ALONE):
        tidied = left[0] if left else NOW + 1
        assert marks(url) == {"version": NOW + 1, "oldest": NOW + 1, "tidied": tidied}
        daily = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'more'"
        assert query(url, f"{daily} AND table_name LIKE 'delivery_2%'") == [(1,)]
    with pytest.raises(NewerDatabaseError):
        async with program():
            pass


@pytest.mark.usefixtures("no_grace")
async def test_an_index_that_nobody_needs_any_more_goes_when_nobody_reads(
    program: Program, url: str
) -> None:
    """A long reading (a back-up) keeps no mail waiting behind a lock that waits for it."""
    there = "SELECT count(*) FROM pg_indexes WHERE indexname = 'delivery_next_of'"
    old_postgresql.load(9, url)
    async with program() as store:
        with psycopg.connect(url) as reader:
            reader.execute("SELECT count(*) FROM delivery")
            with pytest.raises(StoreUnavailableError):
                await store.tidy(NOON)
            assert query(url, there) == [(1,)]
        await store.tidy(NOON)
        assert query(url, there) == [(0,)]
        assert marks(url)["tidied"] == NOW


async def test_trouble_in_pre_leaves_all_as_it_was(program: Program, url: str) -> None:
    async with program():
        pass
    half = (*NEXT, Version("CREATE TABLE gone_again (name TEXT); SELECT 1 / 0"))
    with pytest.raises(StoreUnavailableError):
        async with program(half):
            pass
    assert marks(url) == {"version": NOW, "oldest": 0, "tidied": NOW}
    assert query(url, "SELECT to_regclass('gone_again')") == [(None,)]
