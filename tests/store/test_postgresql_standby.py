"""What a standby changes: commits that wait for one, and one that was promoted behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from threading import Lock

import pytest

from gatepost.model.ids import WorkerId
from gatepost.store.postgresql import PostgresStore, open_postgresql
from gatepost.store.postgresql_clock import StoreClock
from gatepost.store.postgresql_connection import Address
from gatepost.store.postgresql_news import News
from gatepost.store.postgresql_watch import Watch
from gatepost.store.postgresql_writer import Own
from gatepost.store.protocols import StoreUnavailableError
from tests.store.makers import event
from tests.store.test_store_contract import ask, do, put
from tests.support.node import wait_until
from tests.support.postgresql import HASTY, PostgresServer

WAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer(HASTY)
    made.start()
    yield made
    made.remove()


@pytest.fixture
async def store(server: PostgresServer) -> AsyncIterator[PostgresStore]:
    opened = await open_postgresql(Address(server.url()), WorkerId("node/1/0"))
    yield opened
    await opened.close()


async def test_a_commit_whose_wait_for_a_standby_is_cancelled_is_none(
    server: PostgresServer, store: PostgresStore
) -> None:
    """PostgreSQL says COMMIT then, and a warning: 250 would promise what no standby has."""
    await put(store)

    def names(text: str) -> None:
        server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{text}'")
        server.execute("SELECT pg_reload_conf()")

    names("nobody")
    shown = "SHOW synchronous_standby_names"
    await asyncio.to_thread(
        wait_until, lambda: server.execute(shown) == [("nobody",)], "what is set"
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            told = tasks.create_task(_refusal(store))
            await asyncio.to_thread(wait_until, lambda: bool(server.execute(WAITS)), "the wait")
            ((pid,),) = server.execute(WAITS)
            server.execute(f"SELECT pg_cancel_backend({pid})")
        assert "may not be on its standby" in await told
    finally:
        names("")
        await asyncio.to_thread(wait_until, lambda: server.execute(shown) == [("",)], "none")
    await put(store)


async def _refusal(store: PostgresStore) -> str:
    with pytest.raises(StoreUnavailableError) as caught:
        await put(store)
    return str(caught.value)


async def test_after_a_restart_all_that_is_known_is_read_again(server: PostgresServer) -> None:
    """A promoted standby may lack the last news, and count on to the same number."""
    await (await open_postgresql(Address(server.url()), WorkerId("node/1/0"))).close()
    watch = Watch()
    news = News(Address(server.url()), Own(Lock()), StoreClock(), watch)
    await asyncio.to_thread(news.wait, 60)
    before = news.version
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(wait_until, lambda: news.version != before, "another version")
    assert news.version > before + (1 << 40)
    await asyncio.to_thread(news.close)
    watch.close()


async def test_a_server_that_is_behind_numbers_on_behind_its_readers(
    server: PostgresServer, store: PostgresStore
) -> None:
    """Also for a node that goes on: its writer asks anew with each connection."""
    await do(store, "add_events", [event()])
    await do(store, "set_position", "journal", 1 << 60)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)

    async def is_back() -> bool:
        try:
            await do(store, "add_events", [event(n="after")])
        except StoreUnavailableError:
            return False
        return True

    async with asyncio.timeout(60):
        while not await is_back():
            await asyncio.sleep(0.05)
    found = await ask(store, "events", after=1 << 60)
    assert found
    assert found[-1].event.facts["n"] == "after"
