"""The connection to PostgreSQL is cut right at a commit: what took place is found out."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.store import postgresql_doubt, postgresql_writer
from gatepost.store.postgresql import PostgresStore, open_postgresql
from gatepost.store.postgresql_connection import Address
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.queue_view import QueueFilter
from gatepost.store.verify import verify
from tests.store.makers import NOON, event, held, lease, settled
from tests.store.openers import address_of
from tests.store.test_store_contract import ask, do, one, put, take
from tests.support.cutting_proxy import Cut, CuttingProxy, cutting_proxy
from tests.support.postgresql import shared_server


@dataclass
class Rig:
    """A worker's store whose connections can be cut, and a neighbour's."""

    store: PostgresStore
    neighbour: PostgresStore
    proxy: CuttingProxy


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(postgresql_doubt, "_LOOK", 0.0)
    monkeypatch.setattr(postgresql_writer, "_ASK_AGAIN", (0.01,))
    straight = address_of(tmp_path)
    server = shared_server()
    async with cutting_proxy(server.host, server.port) as proxy:
        url = straight.url.replace(f":{server.port}/", f":{proxy.port}/")
        store = await open_postgresql(Address(url), WorkerId("node/1/0"), clock=lambda: NOON)
        neighbour = await open_postgresql(straight, WorkerId("node/2/0"), clock=lambda: NOON)
        yield Rig(store, neighbour, proxy)
        await store.close()
        await neighbour.close()


async def rows(rig: Rig):
    return await ask(rig.neighbour, "deliveries", QueueFilter(), limit=99)


async def test_mail_that_was_stored_is_acknowledged(rig: Rig) -> None:
    await put(rig.store)
    rig.proxy.arm(Cut.AFTER)
    _, (way,), (leased,) = await put(rig.store, lease=lease())
    assert rig.proxy.cuts == 1
    assert len(await rows(rig)) == 2
    assert await do(rig.store, "begin_attempts", [held(leased)]) == {way.id}


async def test_mail_that_was_not_stored_is_not_acknowledged(rig: Rig, monkeypatch) -> None:
    monkeypatch.setattr(postgresql_writer, "_ASKED_FOR", 0.1)
    await put(rig.store)
    rig.proxy.arm(Cut.BEFORE)
    with pytest.raises(StoreUnavailableError):
        await put(rig.store)
    assert rig.proxy.cuts == 1
    assert len(await rows(rig)) == 1
    await put(rig.store)
    assert len(await rows(rig)) == 2


async def test_a_lease_that_was_granted_is_handed_out(rig: Rig) -> None:
    _, (way,), _ = await put(rig.store)
    rig.proxy.arm(Cut.AFTER)
    (leased,) = await take(rig.store)
    assert (leased.delivery.id, leased.fence, rig.proxy.cuts) == (way.id, 1, 1)
    assert await do(rig.store, "settle", [settled(leased)]) == {way.id}
    assert await verify(rig.store) == []


async def test_a_lease_that_nobody_heard_of_is_given_back_as_soon_as_can_be(
    rig: Rig, monkeypatch
) -> None:
    monkeypatch.setattr(postgresql_writer, "_ASKED_FOR", 0.0)  # the server does not come back
    _, (way,), _ = await put(rig.store)
    rig.proxy.arm(Cut.AFTER)
    with pytest.raises(StoreUnavailableError):
        await take(rig.store)
    assert (await one(rig.neighbour, way.id)).state is DeliveryState.LEASED
    version = await rig.store.data_version()
    await do(rig.store, "add_events", [event()])
    (leased,) = await take(rig.neighbour, worker="node/2/0")
    assert (leased.delivery.id, leased.fence) == (way.id, 2)
    async with asyncio.timeout(30):  # this worker, too, hears that there is mail to take
        while await rig.store.data_version() == version:
            await asyncio.sleep(0.02)


async def test_a_lease_that_was_taken_anew_is_not_given_back(rig: Rig, monkeypatch) -> None:
    monkeypatch.setattr(postgresql_writer, "_ASKED_FOR", 0.0)
    _, (way,), _ = await put(rig.store)
    rig.proxy.arm(Cut.BEFORE)
    with pytest.raises(StoreUnavailableError):
        await take(rig.store)
    (leased,) = await take(rig.store)  # the same fence, and the same worker
    assert leased.fence == 1
    for _ in range(3):
        await do(rig.store, "add_events", [event()])
    assert await do(rig.store, "renew", [held(leased)], NOON + timedelta(minutes=9)) == {way.id}


async def test_a_settlement_is_written_once_however_often_it_is_tried(rig: Rig) -> None:
    message, (way,), (leased,) = await put(rig.store, lease=lease())
    outcome = settled(leased, events=[event(EventKind.DELIVERED, message)])
    rig.proxy.arm(Cut.AFTER)
    with pytest.raises(StoreUnavailableError):
        await do(rig.store, "settle", [outcome])
    assert await do(rig.store, "settle", [outcome]) == set()
    assert (await one(rig.store, way.id)).state is DeliveryState.DELIVERED
    assert len(await ask(rig.neighbour, "events", submission_id=message.id)) == 1
    assert await take(rig.neighbour, at=NOON + timedelta(minutes=9)) == []
    assert await verify(rig.store) == []


async def test_what_is_leased_for_who_waits_no_longer_is_given_back(rig: Rig) -> None:
    _, (way,), _ = await put(rig.store)
    commits = rig.store._commits
    commits._deadline, commits._margin = 0.0, -30.0  # it gives up at once, behind the beginning
    gave_up = threading.Event()

    def slow(transaction):
        leased = transaction.lease_due(NOON, lease(), limit=9)
        gave_up.wait(30)
        return leased

    try:
        with pytest.raises(StoreUnavailableError):
            await rig.store.write(slow)
    finally:
        gave_up.set()
    commits._deadline, commits._margin = 30.0, 1.0

    async def is_back() -> bool:
        try:
            await do(rig.store, "add_events", [event()])
        except StoreUnavailableError:
            return False
        return bool(await take(rig.neighbour, worker="node/2/0"))

    async with asyncio.timeout(30):
        while not await is_back():
            await asyncio.sleep(0.02)
    assert (await one(rig.neighbour, way.id)).leases == 2
