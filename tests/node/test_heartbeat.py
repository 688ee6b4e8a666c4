"""Heartbeats over a store in memory, with clocks that the test sets."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import DeliveryId, SubmissionId, WorkerId
from gatepost.model.submission import Submission
from gatepost.net import clock
from gatepost.node import heartbeat
from gatepost.node.heartbeat import Heartbeat, TwinError, take_seat
from gatepost.queue.presence import EVERY, HEARD
from gatepost.store.leases import Lease
from gatepost.store.presences import Announcement
from tests.memory_store import MemoryStore

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ONE, TWO = WorkerId("a/0/7.1/"), WorkerId("b/0/7.1/")


class World:
    """A store, its clock, and the time that passes on the nodes."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.store.tables.clock = lambda: NOON + timedelta(seconds=self.at)
        self.at = 0.0

    def worker(self, name: WorkerId, home: str = "home") -> Heartbeat:
        said = Announcement(name, name[0], home, "1.0", (), NOON)
        return Heartbeat(self.store, said)

    async def pass_by(self, seconds: float, *beating: Heartbeat) -> None:
        """Let time pass; these announce themselves meanwhile."""
        end = self.at + seconds
        while self.at < end:
            self.at = min(end, self.at + EVERY)
            for one in beating:
                await one.beat()

    async def lease(self, worker: WorkerId) -> DeliveryId:
        """Give a worker a delivery."""
        message = Submission(SubmissionId(f"s{self.at}"), "a@x.example", 1, NOON)
        way = Delivery(
            DeliveryId(f"d{self.at}"), message.id, "b@y.example", "y.example", NOON, NOON
        )
        until = NOON + timedelta(seconds=self.at + 120)
        await self.store.write(lambda t: t.add_deliveries(message, [way], Lease(worker, until)))
        return way.id

    def state(self, identifier: DeliveryId) -> DeliveryState:
        return self.store.tables.delivery_rows[identifier].state


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(heartbeat, "elapsed", lambda: made.at)
    yield made
    clock._anchor = None


async def test_a_silent_worker_s_leases_fall_due_and_it_has_ended_before(world: World):
    one, two = world.worker(ONE), world.worker(TWO)
    await one.beat()
    await two.beat()
    await world.pass_by(20, one, two)
    held = await world.lease(ONE)
    while world.state(held) is DeliveryState.LEASED:
        assert world.at < 60
        was_heard = one.is_heard()
        await world.pass_by(EVERY, two)
    assert not was_heard or not one.is_heard()
    assert world.at == pytest.approx(35)
    (event,) = world.store.tables.event_rows
    assert event.kind is EventKind.WORKER_LOST
    assert event.facts == {"worker": ONE, "node": "a", "silent": 15.0, "deliveries": 1}


async def test_who_wakes_asks_what_it_still_holds(world: World):
    one, two = world.worker(ONE), world.worker(TWO)
    doubts: list[float] = []
    one.on_gap(lambda: doubts.append(world.at))
    await one.beat()
    await two.beat()
    await world.pass_by(20, one, two)
    assert one.is_heard()
    assert not doubts
    await world.pass_by(30, two)
    assert not one.is_heard()
    await one.beat()
    assert doubts == [50.0]
    assert one.is_heard()


async def test_a_gap_that_no_neighbour_saw_is_doubted_as_well(world: World):
    one = world.worker(ONE)
    doubts: list[float] = []
    one.on_gap(lambda: doubts.append(world.at))
    await one.beat()
    world.at += HEARD
    assert not one.is_heard()
    await one.beat()
    assert doubts == [HEARD]


async def test_after_the_store_was_away_nobody_buries_his_neighbours(world: World):
    workers = [world.worker(ONE), world.worker(TWO)]
    await world.pass_by(30, *workers)
    world.at += 300
    await workers[0].beat()
    await workers[1].beat()
    await world.pass_by(60, *workers)
    assert not any(p.lost for p in world.store.tables.presences())
    assert not world.store.tables.event_rows


async def test_a_fault_of_ours_silences_nobody(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heartbeat, "EVERY", 0.01)
    write, faults = world.store.write, [KeyError("a fault of ours")]

    async def stumble(*arguments: object) -> object:
        if faults:
            raise faults.pop()
        return await write(*arguments)

    monkeypatch.setattr(world.store, "write", stumble)
    one = world.worker(ONE)
    beating = asyncio.create_task(one.run())
    async with asyncio.timeout(30):
        while not one.is_heard():
            await asyncio.sleep(0.01)
    beating.cancel()
    assert not faults


async def test_a_store_that_answers_late_makes_nobody_doubt_while_it_hears(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Each answer takes as long as somebody is waited for who stands still in a transaction."""
    one, write = world.worker(ONE), world.store.write
    began, doubts = [], []
    one.on_gap(lambda: doubts.append(world.at))

    async def late(job):
        began.append(world.at)
        world.at += EVERY + 0.2
        return await write(job)

    async def sleep(seconds: float) -> None:
        world.at += seconds
        if len(began) == 5:
            raise asyncio.CancelledError

    monkeypatch.setattr(world.store, "write", late)
    monkeypatch.setattr("gatepost.node.heartbeat.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await one.run()
    assert not doubts
    assert all(after - before <= EVERY + 2 for before, after in pairwise(began))


async def test_who_leaves_is_not_lost(world: World):
    one, two = world.worker(ONE), world.worker(TWO)
    await one.beat()
    await world.pass_by(20, one, two)
    await one.leave()
    await world.pass_by(60, two)
    assert [p.worker for p in world.store.tables.presences()] == [TWO]
    assert not world.store.tables.event_rows


async def test_a_node_that_begins_anew_frees_what_it_held(world: World):
    await world.worker(ONE).beat()
    held = await world.lease(ONE)
    await world.pass_by(1)
    other = await world.lease(TWO)
    await world.store.write(lambda t: take_seat(t, "a", "home", sole=False))
    assert world.state(held) is DeliveryState.DUE
    assert world.state(other) is DeliveryState.LEASED
    assert world.store.tables.presences() == []


@pytest.mark.parametrize(
    ("silent", "home", "refused"), [(5, "h2", True), (16, "h2", False), (5, "home", False)]
)
async def test_two_living_nodes_have_no_one_name(world: World, silent, home, refused):
    await world.worker(ONE).beat()
    world.at += silent
    if not refused:
        await world.store.write(lambda t: take_seat(t, "a", home, sole=False))
        return
    with pytest.raises(TwinError):
        await world.store.write(lambda t: take_seat(t, "a", home, sole=False))


async def test_the_store_s_clock_is_followed_by_who_shares_it(world: World):
    said = Announcement(ONE, "a", "home", "1.0", (), NOON)
    await Heartbeat(world.store, said, shared=True).beat()
    assert clock._anchor == (NOON, 0.0)
    # `elapsed` of net.clock is the real one: what matters is that time goes on from there.
    clock.follow(NOON, clock.elapsed() - 60)
    assert timedelta(seconds=60) <= clock.agreed() - NOON < timedelta(seconds=120)
    assert clock.agreed_seconds() == pytest.approx(clock.agreed().timestamp(), abs=5)


async def test_leases_are_taken_for_ended_only_by_who_was_heard_without_a_gap(world: World):
    one = world.worker(ONE)
    assert not one.may_take_over()
    await one.beat()
    assert not one.may_take_over()
    await world.pass_by(15, one)
    assert one.may_take_over()
    world.at += 130  # the store was away
    assert not one.may_take_over()
    await one.beat()
    assert not one.may_take_over()
    await world.pass_by(15, one)
    assert one.may_take_over()
