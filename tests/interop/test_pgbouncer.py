"""The store through PgBouncer, in each of its ways to share server processes."""

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
from gatepost.store.postgresql_look import look
from gatepost.store.postgresql_trouble import trouble
from gatepost.store.protocols import StoreAwayError, StoreUnavailableError
from gatepost.store.verify import verify
from tests.store.makers import NOON, lease, settled
from tests.store.test_store_contract import ACCOUNT, ask, do, put, take
from tests.support.node import wait_until
from tests.support.ports import free_port
from tests.support.postgresql import database_of, shared_server
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
pool_mode = {mode}
default_pool_size = {size}
logfile =
"""


#: How many server processes are shared: in the first mode each connection keeps its own.
SIZES = {"session": 40, "transaction": 3, "statement": 3}


@pytest.fixture
def mode(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "transaction"))


@pytest.fixture
def pooler(tmp_path: Path, mode: str) -> Iterator[Address]:
    url = database_of(tmp_path)
    port = free_port()
    file = tmp_path / "pgbouncer.ini"
    file.write_text(
        CONFIGURATION.format(server=shared_server().port, port=port, mode=mode, size=SIZES[mode])
    )
    file.chmod(0o644)
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([need("pgbouncer"), "-q", *user, str(file)])
    address = Address(url.replace(f":{shared_server().port}/", f":{port}/"))
    wait_until(lambda: answers(address), "PgBouncer")
    yield address
    process.terminate()
    process.wait(30)


def answers(address: Address) -> bool:
    try:
        psycopg.connect(**address.options()).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
async def stores(pooler: Address) -> AsyncIterator[list[PostgresStore]]:
    opened = [
        await open_postgresql(pooler, WorkerId(f"node/{n}/0"), clock=lambda: NOON) for n in range(4)
    ]
    yield opened
    for store in opened:
        await store.close()


@pytest.mark.parametrize("mode", ["session", "transaction"], indirect=True)
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


@pytest.mark.parametrize("mode", ["session", "transaction"], indirect=True)
async def test_a_change_is_heard_of_without_being_woken(stores) -> None:
    before = await stores[1].data_version()
    await do(stores[0], "put_account", ACCOUNT)
    async with asyncio.timeout(60):
        while await stores[1].data_version() == before:
            await asyncio.sleep(0.05)
    assert await ask(stores[1], "account", AccountName(ACCOUNT.name)) == ACCOUNT


@pytest.mark.parametrize("mode", ["statement"], indirect=True)
async def test_who_gives_single_statements_away_is_refused(pooler: Address) -> None:
    with pytest.raises(StoreUnavailableError, match="statement pooling") as caught:
        await open_postgresql(pooler, WorkerId("node/1/0"))
    assert not isinstance(caught.value, StoreAwayError)
    with pytest.raises(StoreUnavailableError) as seen:
        look(pooler, "SELECT 1")
    assert "pool_mode" in trouble(str(seen.value)).mend
