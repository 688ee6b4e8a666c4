"""Room for connections: whoever waits for some gets it, and nobody keeps it for nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.pool import Pool, SiteQueue
from gatepost.delivery.site import Kind, Site
from gatepost.model.ids import DeliveryId
from gatepost.model.lane import Lane
from tests.delivery.rig import Rig
from tests.delivery.test_pool import item
from tests.sink import Sink


@pytest.mark.parametrize("room", [1, 50])
async def test_no_site_is_forgotten_that_waits_for_room(room: int) -> None:
    served: set[str] = set()
    gate = asyncio.Event()

    async def serve(queue: SiteQueue) -> None:
        while parcels := queue.claim():
            await gate.wait()
            served.update(parcel.submission.id for parcel in parcels)

    pool = Pool(replace(Bounds(), connections=room), serve)
    # The busy ones fill the room, and wait for more of it, which they will not need.
    for turn in range(2):
        for n in range(room):
            pool.add(Site(f"busy{n}", Kind.SMTP), item(turn * 1000 + n, 10), None)
        await asyncio.sleep(0)
    for n in range(3):
        pool.add(Site(f"late{n}", Kind.SMTP), item(2000 + n, 10), None)
    gate.set()
    async with asyncio.timeout(30):
        while pool.tasks():
            await asyncio.wait(pool.tasks())
    assert served >= {"s2000", "s2001", "s2002"}
    assert pool.connections == 0


async def test_as_many_idle_connections_go_home_as_there_are_sites_that_wait() -> None:
    served: list[str] = []

    async def serve(queue: SiteQueue) -> None:
        while True:
            while parcels := queue.claim():
                served.extend(parcel.submission.id for parcel in parcels)
            if not await queue.wait():
                return

    pool = Pool(replace(Bounds(), connections=4), serve)
    for n in range(4):
        pool.add(Site(f"first{n}", Kind.SMTP), item(n, 10), None)
    async with asyncio.timeout(30):
        while len(served) < 4:
            await asyncio.sleep(0)
        first = pool.tasks()
        pool.add(Site("second", Kind.SMTP), item(5, 10), None)
        while len(served) < 5:
            await asyncio.sleep(0)
    # The one that had been idle longest.
    assert [task.done() for task in first] == [True, False, False, False]
    pool.close()


def domains(rig: Rig) -> None:
    for n in range(3):
        rig.mx(f"d{n}.example", (10, f"mx{n}.example", f"127.0.0.{n + 1}"))


@pytest_asyncio.fixture
async def sinks() -> AsyncIterator[list[Sink]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Sink())
        more = [Sink(host=f"127.0.0.{n}", port=first.port) for n in (2, 3)]
        yield [first, *[await stack.enter_async_context(sink) for sink in more]]


async def both(rig: Rig, name: str) -> list[DeliveryId]:
    return await rig.submit(f"{name}@d0.example") + await rig.submit(f"{name}@d1.example")


async def test_a_third_site_is_served_where_two_have_all_the_room(sinks: list[Sink]) -> None:
    bounds = Bounds(look=0.02, dial=5.0, connections=2, session_idle=600.0)
    async with Rig(sinks[0].port, bounds=bounds) as rig:
        domains(rig)
        await rig.until_state(await both(rig, "first"))
        for sink in sinks[:2]:
            sink.go.clear()
        busy = await both(rig, "second")
        async with asyncio.timeout(30):
            for one in busy:
                await rig.until_attempted(one)
        more = await both(rig, "third")  # waits for room, and is served without any
        late = await rig.submit("x@d2.example")
        for sink in sinks[:2]:
            sink.go.set()
        await rig.until_state(busy + more + late)


async def test_a_password_does_not_wait_for_idle_sessions_to_end(sinks: list[Sink]) -> None:
    bounds = Bounds(look=0.02, dial=5.0, connections=2, session_idle=600.0)
    async with Rig(sinks[0].port, bounds=bounds) as rig:
        domains(rig)
        await rig.until_state(await both(rig, "first"))
        await rig.until_state(await rig.submit("otp@d2.example", lane=Lane.OTP))
