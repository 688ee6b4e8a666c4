"""A primary that was overtaken by its standby, and does not know it: nobody writes there any more."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gatepost.model.ids import WorkerId
from gatepost.store.postgresql import PostgresStore, open_postgresql
from gatepost.store.postgresql_connection import Address, Connection, begin, connect
from gatepost.store.postgresql_lineage import (
    SEEN,
    Lineage,
    OldPrimaryError,
    Origin,
    forget,
    is_of_an_old_primary,
)
from gatepost.store.postgresql_watch import Watch
from gatepost.store.protocols import StoreAwayError, StoreUnavailableError
from tests.store.test_store_contract import put
from tests.support.node import wait_until
from tests.support.postgresql import PATIENCE, PostgresServer, shared_server
from tests.support.standby import replicated

COUNT = "SELECT count(*) FROM submission"


@pytest.fixture
def pair() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary, and a standby that is copied to later than 250 is said."""
    with replicated(in_step=False) as servers:
        yield servers


def url_of(*servers: PostgresServer) -> str:
    hosts = ",".join(f"{server.host}:{server.port}" for server in servers)
    return f"postgresql://postgres@{hosts}/postgres"


async def opened(address: Address) -> PostgresStore:
    return await open_postgresql(address, WorkerId("node/1/0"))


async def put_some_time(store: PostgresStore) -> None:
    """Store a message as a client does who is told to try again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await put(store)
            except StoreUnavailableError:
                await asyncio.sleep(0.05)
            else:
                return


def count(server: PostgresServer) -> int:
    """Return how many messages a server has; -1 where the tables were not copied yet."""
    try:
        ((found,),) = server.execute(COUNT)
    except psycopg.errors.UndefinedTable:
        return -1
    return int(found)


@pytest.mark.timeout(4 * PATIENCE)
async def test_a_primary_that_thaws_after_a_fail_over_is_left_alone(
    pair: tuple[PostgresServer, PostgresServer], tmp_path: Path
) -> None:
    old, new = pair
    # Two processes; the connections of one wait for nothing while the old primary is frozen.
    store, idle = [
        await opened(Address(url_of(old, new), lineage=Lineage(tmp_path / SEEN))) for _ in range(2)
    ]
    await put(store)
    await put(idle)
    wait_until(lambda: count(new) == 2, "the standby")
    old.freeze()
    new.execute("SELECT pg_promote()")
    began = time.monotonic()
    await put_some_time(store)
    print(f"\nmail was taken again {time.monotonic() - began:.1f} s after the promotion")
    old.thaw()
    for each in (store, idle):
        await put_some_time(each)
    assert (count(old), count(new)) == (2, 5)
    for each in (store, idle):
        await each.close()
    # Who begins now knows from the state directory, or finds out.
    with pytest.raises(
        StoreAwayError, match="old primary: it is on timeline 1, and 2 has begun"
    ) as no:
        await opened(Address(url_of(old), lineage=Lineage(tmp_path / SEEN)))
    assert "gatepost store adopt" in no.value.mend
    for lineage in (Lineage(tmp_path / SEEN), Lineage()):
        late = await opened(Address(url_of(old, new), lineage=lineage))
        await put_some_time(late)
        await late.close()
    assert (count(old), count(new)) == (2, 7)
    # An operator has the last word.
    forget(tmp_path)
    told = await opened(Address(url_of(old), lineage=Lineage(tmp_path / SEEN)))
    await put(told)
    await told.close()
    assert count(old) == 3


@pytest.mark.crash
@pytest.mark.timeout(4 * PATIENCE)
async def test_a_standby_is_promoted_while_its_primary_goes_on(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    """Whoever promoted it was cut off from the primary, and we are not."""
    old, new = pair
    store = await opened(Address(url_of(old, new)))
    await put(store)
    wait_until(lambda: count(new) == 1, "the standby")
    new.execute("SELECT pg_promote()")
    known = store._address.lineage._highest
    await asyncio.to_thread(wait_until, lambda: set(known.values()) == {2}, "a look")
    await put_some_time(store)
    assert count(new) == 2
    await store.close()


def test_a_transaction_asks_behind_a_pooler_which_server_it_is() -> None:
    """The connection is the same, and another server is behind it."""
    watch = Watch()
    address = Address(shared_server().url())
    connection = connect(address, watch)
    origin = connection.origin
    assert origin is not None
    address.lineage.take(Origin(origin.system, origin.timeline + 1))
    connection.origin = Origin(origin.system, origin.timeline + 1)
    with pytest.raises(psycopg.Error) as caught:
        _begun_in_a_pipeline(connection)
    assert is_of_an_old_primary(caught.value)
    watch.close()
    connection.close()


def test_a_role_without_rights_of_its_own_may_ask() -> None:
    server = shared_server()
    server.execute("CREATE ROLE plain LOGIN")
    watch = Watch()
    connection = connect(Address(server.url(user="plain")), watch)
    assert connection.origin is not None
    begin(connection)
    connection.close()
    watch.close()


def _begun_in_a_pipeline(connection: Connection) -> None:
    with connection.pipeline():
        begin(connection)
        connection.execute(b"SELECT 1")


def test_what_one_thread_has_seen_another_s_connection_is_held_to() -> None:
    watch = Watch()
    address = Address(shared_server().url())
    connection = connect(address, watch)
    assert connection.origin is not None
    address.lineage.take(Origin(connection.origin.system, connection.origin.timeline + 1))
    with pytest.raises(OldPrimaryError, match="another took its place"):
        begin(connection)
    with pytest.raises(OldPrimaryError, match="is an old primary"):
        connect(address, watch)
    watch.close()
    connection.close()


SEEN_BEFORE = [Origin(11, 2), Origin(11, 3), Origin(12, 1)]


@pytest.mark.parametrize(
    ("seen", "origin", "why"),
    [
        ([], Origin(11, 7), ""),
        (SEEN_BEFORE[:2], Origin(11, 3), ""),
        (SEEN_BEFORE[:2], Origin(11, 4), ""),
        (SEEN_BEFORE[:2], Origin(11, 2), "it is on timeline 2, and 3 has begun"),
        (SEEN_BEFORE, Origin(12, 1), ""),
        # pg_upgrade made another system; the old one is started by mistake.
        (SEEN_BEFORE, Origin(11, 3), "another system took its place"),
        (SEEN_BEFORE, Origin(13, 1), ""),
    ],
)
def test_which_servers_are_taken(
    seen: list[Origin], origin: Origin, why: str, tmp_path: Path
) -> None:
    first = Lineage(tmp_path / SEEN)
    for each in seen:
        assert first.take(each) == ""
    assert Lineage(tmp_path / SEEN).take(origin) == why
    assert first.take(origin) == why


def test_an_operator_may_name_another_database_and_come_back(tmp_path: Path) -> None:
    for place, origin in (("db/one", 11), ("test/two", 12), ("db/one", 11)):
        assert Lineage(tmp_path / SEEN, place).take(Origin(origin, 1)) == ""
    assert Lineage(tmp_path / SEEN, "db/one").take(Origin(12, 1)) == ""
    assert Lineage(tmp_path / SEEN, "db/one").take(Origin(11, 1)) == "another system took its place"


@pytest.mark.parametrize("text", ["", "\n", "\n11\n", "\n11 x\n", "\n11 2 3\n", "\n\x00\xff 1\n"])
def test_a_memory_that_is_torn_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / SEEN).write_text(text, "latin-1")
    lineage = Lineage(tmp_path / SEEN)
    assert lineage.take(Origin(11, 1)) == ""
    assert (tmp_path / SEEN).read_text() == "\n11 1\n"


def test_another_database_s_primary_is_no_promoted_standby() -> None:
    lineage = Lineage()
    assert lineage.take(Origin(11, 1)) == ""
    assert not lineage.found(Origin(12, 5), {"host": "elsewhere"})
    assert lineage.place is None
    assert not lineage.found(Origin(11, 1), {"host": "here"})
    assert lineage.place == {"host": "here"}
    assert lineage.found(Origin(11, 2), {"host": "there"})
    assert lineage.place == {"host": "there"}
