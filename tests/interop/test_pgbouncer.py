"""The store through PgBouncer, which gives each transaction to whichever server process is free."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from gatepost.model.ids import AccountName, WorkerId
from gatepost.store.postgresql import PostgresStore, open_postgresql
from gatepost.store.postgresql_connection import Address
from gatepost.store.verify import verify
from tests.store.makers import NOON, lease, settled
from tests.store.test_store_contract import ACCOUNT, ask, do, put, take
from tests.support.postgresql import database_of, free_port, shared_server
from tests.support.programs import need

pytestmark = pytest.mark.interop("pgbouncer")

CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
logfile =
"""


@pytest.fixture
def pooler(tmp_path: Path) -> Iterator[Address]:
    url = database_of(tmp_path)
    port = free_port()
    file = tmp_path / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(server=shared_server().port, port=port))
    file.chmod(0o644)
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([need("pgbouncer"), "-q", *user, str(file)])
    yield Address(url.replace(f":{shared_server().port}/", f":{port}/"))
    process.terminate()
    process.wait(30)


@pytest.fixture
async def stores(pooler: Address) -> AsyncIterator[list[PostgresStore]]:
    async with asyncio.timeout(60):
        while True:
            try:
                await asyncio.to_thread(lambda: psycopg.connect(**pooler.options()).close())
                break
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)
    opened = [
        await open_postgresql(pooler, WorkerId(f"node/{n}/0"), clock=lambda: NOON) for n in range(4)
    ]
    yield opened
    for store in opened:
        await store.close()


async def test_mail_goes_through_a_few_shared_connections(stores) -> None:
    await asyncio.gather(*(put(store, f"{n}@y.example") for store in stores for n in range(10)))
    takes = [take(store, limit=4) for store in stores for _ in range(3)]
    leased = [one for some in await asyncio.gather(*takes) for one in some]
    assert len({one.delivery.id for one in leased}) == 40
    done = [do(stores[n % 4], "settle", [settled(one)]) for n, one in enumerate(leased)]
    assert sum(map(len, await asyncio.gather(*done))) == 40
    assert await take(stores[0]) == []
    await put(stores[1], lease=lease(), content=b"x" * 2_000_000)
    assert await verify(stores[2]) == []


async def test_a_change_is_heard_of_without_being_woken(stores) -> None:
    before = await stores[1].data_version()
    await do(stores[0], "put_account", ACCOUNT)
    async with asyncio.timeout(60):
        while await stores[1].data_version() == before:
            await asyncio.sleep(0.05)
    assert await ask(stores[1], "account", AccountName(ACCOUNT.name)) == ACCOUNT
