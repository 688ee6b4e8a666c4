"""Room for connections: whoever waits for some gets it, and nobody keeps it for nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.parcel import Item
from gatepost.delivery.pool import Pool
from gatepost.delivery.site import Host, Kind, Site
from gatepost.delivery.site_queue import SiteQueue
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


async def test_the_next_connection_of_a_busy_site_goes_where_its_name_leads_now() -> None:
    gate, seen = asyncio.Event(), []

    async def serve(queue: SiteQueue) -> None:
        while queue.claim():
            seen.append([host.name for host in queue.site.hosts])
            await gate.wait()

    pool = Pool(Bounds(), serve)
    for n, name in enumerate(("old.example", "new.example")):
        pool.add(Site("x", Kind.SMTP, (Host(name, 10, (), 25),)), item(n, 10), None)
        await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(30):
        while pool.tasks():
            await asyncio.wait(pool.tasks())
    assert seen == [["old.example"], ["new.example"]]


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


def item_of(number: int, lane: Lane = Lane.TRANSACTIONAL) -> Item:
    return item(number, 10, lane)


class Ever:
    """A pool whose sites are never idle: each claim is followed by more mail for the same site."""

    def __init__(self, room: int, *, turn: float, per_site: int = 10) -> None:
        bounds = replace(Bounds(), connections=room, turn=turn, connections_per_site=per_site)
        self.pool = Pool(bounds, self._serve)
        self.lane = Lane.TRANSACTIONAL
        self.served: dict[str, int] = {}
        self.begun: dict[str, int] = {}
        self._number = 0

    def more(self, key: str, count: int = 1, lane: Lane | None = None) -> None:
        for _ in range(count):
            self._number += 1
            self.pool.add(Site(key, Kind.SMTP), item_of(self._number, lane or self.lane), None)

    async def _serve(self, queue: SiteQueue) -> None:
        key = queue.site.key
        self.begun[key] = self.begun.get(key, 0) + 1
        since = asyncio.get_running_loop().time()
        while parcels := queue.claim():
            await asyncio.sleep(0)
            self.served[key] = self.served.get(key, 0) + len(parcels)
            if key.startswith("busy"):
                self.more(key, len(parcels))
            if queue.gives_way(since):
                return

    async def until(self, *keys: str) -> None:
        async with asyncio.timeout(30):
            while not all(self.served.get(key) for key in keys):
                await asyncio.sleep(0)

    async def turns(self, count: int = 200) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


async def test_a_site_that_is_never_idle_gives_up_one_of_its_connections() -> None:
    ever = Ever(10, turn=600.0)
    ever.more("busy", 100)
    await ever.turns()
    assert ever.pool.connections == 8  # four fifths
    ever.more("late")
    await ever.until("late")
    # And only one: those that remain go on, and what is over now has its room back.
    assert ever.begun["busy"] <= 10
    await ever.turns()
    assert ever.pool.connections == 8
    ever.pool.close()


async def test_sites_that_are_never_idle_take_turns_for_the_last_room() -> None:
    ever = Ever(2, turn=0.0, per_site=1)
    names = [f"busy{n}" for n in range(7)]
    for name in names:
        ever.more(name, 3)
    await ever.until(*names)
    assert ever.pool.connections == 2
    ever.pool.close()


async def test_the_last_connection_of_a_site_keeps_its_room_for_its_turn() -> None:
    ever = Ever(1, turn=600.0)
    ever.more("busy", 3)
    ever.more("late")
    await ever.turns()
    assert ever.served["busy"] > 3
    assert "late" not in ever.served
    assert ever.begun["busy"] == 1
    ever.pool.close()


async def test_one_time_passwords_do_not_give_way() -> None:
    ever = Ever(1, turn=0.0)
    ever.lane = Lane.OTP
    ever.more("busy", 20)
    ever.more("late", lane=Lane.BULK)
    await ever.turns()
    assert "late" not in ever.served
    assert ever.begun["busy"] == 1
    ever.pool.close()


async def test_a_site_that_wants_more_connections_sends_none_of_its_own_away() -> None:
    ever = Ever(4, turn=0.0)
    ever.more("busy", 100)
    await ever.turns()
    assert ever.begun == {"busy": 4}
    ever.pool.close()


async def test_many_sites_that_wait_leave_nothing_behind() -> None:
    ever = Ever(3, turn=0.0)
    names = [f"site{n}" for n in range(500)]
    for name in names:
        ever.more(name, 2)
    await ever.until(*names)
    async with asyncio.timeout(30):
        while ever.pool.connections:
            await asyncio.sleep(0)
    assert not ever.pool._sites
    assert not ever.pool._waiting_room
    assert not ever.pool._waiting_room.idlers


async def test_a_busy_neighbour_makes_room_for_a_site_that_has_none(sinks: list[Sink]) -> None:
    """Two sites have all the room, and more mail for them than one claim takes."""
    bounds = Bounds(look=0.02, dial=5.0, connections=2, connections_per_site=1, turn=0.0, claim=2)
    async with Rig(sinks[0].port, bounds=bounds) as rig:
        domains(rig)
        for sink in sinks[:2]:
            sink.go.clear()
        busy = []
        for n in range(12):
            busy += await both(rig, f"busy{n}")
        async with asyncio.timeout(30):
            for one in busy[:2]:
                await rig.until_attempted(one)
        late = await rig.submit("x@d2.example")
        for sink in sinks[:2]:
            sink.go.set()
        await rig.until_state(late)
        await rig.until_state(busy)
