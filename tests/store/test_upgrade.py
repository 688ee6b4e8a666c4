"""Two programs on one database: `pre` beside the older one, `post` when it has gone."""

import contextlib
from dataclasses import replace

import apsw
import pytest

from gatepost.model.account import Account
from gatepost.model.ids import AccountName, WorkerId
from gatepost.store import sqlite_upgrade
from gatepost.store.protocols import NewerDatabaseError, StoreUnavailableError
from gatepost.store.schema import Version
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_schema import VERSIONS
from gatepost.store.sqlite_upgrade import older_programs
from tests.store.a_newer_program import NEWER, make_newer
from tests.store.makers import NOON

ROWS = 1200
#: The last version that broke what was before it.
OLDEST = max(n for n, version in enumerate(VERSIONS, 1) if version.breaks)
#: A column takes the place of another, filled in by portions; then a table goes, and an index.
FILL = (
    "UPDATE account SET sorted = name WHERE name IN"
    " (SELECT name FROM account WHERE sorted IS NULL LIMIT 500)"
)
NEXT = (
    *VERSIONS,
    Version("ALTER TABLE account ADD COLUMN sorted TEXT"),
    Version(
        "CREATE TABLE more (name TEXT PRIMARY KEY) STRICT",
        post=(FILL, "DROP INDEX IF EXISTS kept_key_age"),
    ),
)
ALONE = (*VERSIONS, Version("ALTER TABLE account RENAME COLUMN senders TO grants", breaks=True))


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Return what opens the store as a program that knows those versions."""

    @contextlib.asynccontextmanager
    async def opened(versions=VERSIONS):
        monkeypatch.setattr(sqlite_upgrade, "VERSIONS", versions)
        store = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
        try:
            yield store
        finally:
            await store.close()

    return opened


def account(number: int = 1) -> Account:
    name = AccountName(f"a{number:04d}@example.com")
    return Account(name=name, senders=(name,), created_at=NOON)


async def put(store, *accounts: Account) -> None:
    await store.write(lambda t: [t.put_account(one) for one in accounts] and None)


def query(tmp_path, sql):
    connection = apsw.Connection(str(tmp_path / "gatepost.db"))
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def marks(tmp_path):
    (version,), *_ = query(tmp_path, "PRAGMA user_version")
    return version, dict(query(tmp_path, "SELECT name, value FROM schema_mark"))


NOW = len(VERSIONS)
#: The oldest program that may use what this one writes.
OLDEST = max(number for number, one in enumerate(VERSIONS, 1) if one.breaks)
EMPTY = "SELECT count(*) FROM account WHERE sorted IS NULL"
INDEX = "SELECT count(*) FROM sqlite_schema WHERE name = 'kept_key_age'"


async def test_post_waits_for_the_last_older_program_and_then_shuts_the_door(program, tmp_path):
    async with program() as old:
        await put(old, *map(account, range(ROWS)))
        async with program(NEXT) as new:
            assert marks(tmp_path) == (NOW + 2, {"oldest": OLDEST, "tidied": NOW + 1})
            await put(old, account(ROWS))  # goes on
            await new.tidy(NOON)
            assert query(tmp_path, EMPTY) == [(ROWS + 1,)]
            async with program(VERSIONS) as another:  # of the former kind: comes in, too
                assert len(await another.read(lambda r: r.accounts())) == ROWS + 1
    async with program(NEXT) as new:
        await new.tidy(NOON)
        assert query(tmp_path, EMPTY) == [(0,)]
        assert query(tmp_path, INDEX) == [(0,)]
        assert marks(tmp_path) == (NOW + 2, {"oldest": NOW + 2, "tidied": NOW + 2})
        with pytest.raises(NewerDatabaseError, match=f"wants programs that know {NOW + 2}"):
            async with program(VERSIONS):
                pass


async def test_post_is_done_in_portions(program, monkeypatch):
    async with program() as old:
        await put(old, *map(account, range(ROWS)))
    async with program(NEXT) as new:
        portions = []

        async def counted(job, content):
            portions.append(await change(job, content))
            return portions[-1]

        change = new._commits.write
        monkeypatch.setattr(new._commits, "write", counted)
        await new.tidy(NOON)
    assert portions[:5] == [True, 500, 500, 200, 0]


async def test_post_that_was_cut_short_is_done_again(program, tmp_path):
    async with program() as old:
        await put(old, *map(account, range(ROWS)))
    async with program(NEXT) as new:
        await new.write(lambda t: t.execute(FILL))
        await new.write(
            lambda t: t.execute(f"UPDATE schema_mark SET value = {NOW + 2} WHERE name = 'oldest'")
        )
    async with program(NEXT) as new:
        await new.tidy(NOON)
        assert query(tmp_path, EMPTY) == [(0,)]
        assert marks(tmp_path)[1]["tidied"] == NOW + 2


async def test_a_new_database_has_nothing_left_to_do(program, tmp_path):
    async with program(NEXT):
        assert marks(tmp_path) == (NOW + 2, {"oldest": OLDEST, "tidied": NOW + 2})
        assert query(tmp_path, INDEX) == [(0,)]


async def test_what_would_break_an_older_program_waits_until_it_is_stopped(program, tmp_path):
    async with program() as old:
        await put(old, account())
        with pytest.raises(StoreUnavailableError, match=f"knows version {NOW} uses .* stop it"):
            async with program(ALONE):
                pass
        assert marks(tmp_path)[0] == NOW
    async with program(ALONE):
        assert marks(tmp_path) == (NOW + 1, {"oldest": NOW + 1, "tidied": NOW + 1})
    with pytest.raises(NewerDatabaseError):
        async with program():
            pass


async def test_who_uses_the_store_is_known_until_the_last_one_ends(program, tmp_path):
    async with program():
        async with program():
            assert older_programs(tmp_path, NOW + 1) == [NOW]
        assert older_programs(tmp_path, NOW + 1) == [NOW]
        assert older_programs(tmp_path, NOW) == []
    assert older_programs(tmp_path, NOW + 1) == []
    assert list(tmp_path.glob("program-*")) == []  # nor does its file stay


async def test_what_a_newer_program_wrote_survives_what_we_write(program, tmp_path):
    async with program():
        pass
    make_newer(tmp_path)
    async with program() as old:
        await put(old, account())
        await old.write(lambda t: t.execute("UPDATE account SET newer = 'set meanwhile'"))
        await put(old, replace(account(), salt=b"new"))
        assert query(tmp_path, "SELECT salt, newer FROM account") == [(b"new", "set meanwhile")]
        await put(old, account(2))
        assert query(tmp_path, "SELECT newer FROM account WHERE salt = x''") == [(NEWER,)]
