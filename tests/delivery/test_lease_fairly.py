"""A backlog of one account, however long, keeps nobody else's mail waiting."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lease_fairly import FairLease, Taken, Wanted
from gatepost.delivery.shares import Shares
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName, WorkerId
from gatepost.model.lane import LANES, Lane
from gatepost.store.protocols import Settlement
from gatepost.store.sqlite import open_sqlite
from tests.delivery.rig import Rig
from tests.delivery.test_shares import take_all
from tests.memory_store import MemoryStore
from tests.store.makers import NOON, delivery, lease, submission
from tests.support.ports import free_port

SECOND = timedelta(seconds=1)
ROOM = dict.fromkeys(LANES, 1000)
BACKLOG = 300


class Worker:
    """Takes what is due into hands that nothing leaves."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.shares = Shares()
        self.fair_lease = FairLease(self.shares)
        self._number = 0

    def queue(self, account: str, *names: str, lane: Lane = Lane.BULK, pool: str = "") -> None:
        """Queue a delivery for each destination, behind all that was queued before."""
        for name in names:
            message = submission(account=AccountName(account) if account else None)
            at = NOON - timedelta(hours=1) + SECOND * self._number
            way = delivery(message, f"u@{name}", lane=lane, pool=pool, next_attempt_at=at)
            self.store.tables.add_deliveries(message, [way])
            self._number += 1

    async def take(
        self, limit: int = 20, room: dict[Lane, int] = ROOM, ended: bool = False
    ) -> Counter[str]:
        """Return how many were taken of each account."""
        taken = await self.asked(limit, room, ended)
        return Counter(one.submission.account or "" for one in taken.leased)

    async def asked(self, limit: int, room: dict[Lane, int], ended: bool = False) -> Taken:
        wanted = Wanted(NOON, lease(), limit, room, ended)
        taken = await self.fair_lease.lease(self.store, wanted)
        for one in taken.leased:
            way = one.delivery
            self.shares.add(way.lane, way.destination, one.submission.account or "")
        return taken


def many(count: int, prefix: str = "d") -> list[str]:
    return [f"{prefix}{number:03}.example" for number in range(count)]


async def test_while_all_fits_it_is_taken_by_age() -> None:
    worker = Worker()
    worker.queue("a", *many(8))
    worker.queue("b", *many(8))
    assert await worker.take() == {"a": 8, "b": 8}
    assert worker.store.tables.calls == [("lease_due", 20)]
    assert await worker.take() == {}


async def test_behind_a_backlog_accounts_take_turns() -> None:
    worker = Worker()
    worker.queue("a", *many(100))
    worker.queue("b", *many(12))
    worker.queue("", *many(2))
    assert await worker.take() == {"a": 20}  # nobody knows yet that there is more
    assert await worker.take() == {"a": 6, "b": 6, "": 2}
    assert await worker.take() == {"a": 10, "b": 6}
    assert await worker.take() == {"a": 20}


async def test_one_who_is_alone_is_served_by_age() -> None:
    worker = Worker()
    worker.queue("a", *many(100))
    for _ in range(5):
        assert await worker.take() == {"a": 20}
    assert worker.store.tables.calls == [("lease_due", 20)] * 5


async def test_more_accounts_than_fit_have_all_their_turn() -> None:
    worker = Worker()
    worker.queue("a", *many(40))
    for number in range(50):
        worker.queue(f"c{number:02}", *many(3))
    taken: Counter[str] = Counter()
    for _ in range(4):
        taken += await worker.take()
    assert taken["a"] <= 22  # the first by age, and its turns
    assert {taken[f"c{number:02}"] for number in range(50)} == {1, 2}


async def test_who_has_his_share_in_hand_is_passed_over() -> None:
    worker = Worker()
    worker.queue("a", *many(300))
    room = 100
    while taken := sum((await worker.take(50, dict.fromkeys(LANES, room))).values()):
        room -= taken
    assert room == 10
    worker.queue("b", *many(100, "e"))
    assert await worker.take(50, dict.fromkeys(LANES, room)) == {"b": 8}


@pytest.mark.parametrize("lane", LANES)
async def test_lanes_are_dealt_as_ever(lane: Lane) -> None:
    worker = Worker()
    for each in LANES:
        for account in ("a", "b"):
            worker.queue(account, *many(100), lane=each)
    await worker.take()
    leased = (await worker.asked(42, ROOM)).leased
    weights = {Lane.OTP: 32, Lane.TRANSACTIONAL: 8, Lane.BULK: 2}
    assert sum(one.delivery.lane is lane for one in leased) == weights[lane]


async def test_pools_have_their_turns_too() -> None:
    worker = Worker()
    worker.queue("a", *many(100))
    worker.queue("b", *many(100), pool="other")
    await worker.take()
    wanted = lease("node/1/0")
    wanted = type(wanted)(wanted.worker, wanted.until, ("", "other"))
    taken = await worker.fair_lease.lease(worker.store, Wanted(NOON, wanted, 20, ROOM, ended=False))
    assert Counter(one.delivery.pool for one in taken.leased) == {"": 10, "other": 10}


async def test_of_a_destination_that_has_enough_an_account_s_others_go() -> None:
    worker = Worker()
    worker.queue("a", *["slow.example"] * 600)
    worker.queue("a", "a.example", "z.example", *["y.example"] * 9)
    worker.queue("b", *["slow.example"] * 100, *many(3))
    room = dict.fromkeys(LANES, 30)
    found: Counter[str] = Counter()
    while (taken := await worker.asked(16, room)).leased:
        found += Counter(one.delivery.destination for one in taken.leased)
    assert found == {"slow.example": 16, "a.example": 1, "z.example": 1, "y.example": 9} | (
        dict.fromkeys(many(3), 1)
    )


async def test_one_that_is_due_among_very_many_that_wait_is_found_within_a_few_looks(
    tmp_path: Path,
) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    message = submission(account=AccountName("a"))
    names = [f"d{number:05}.example" for number in range(20_000)]
    later = [
        delivery(message, f"u@{name}", lane=Lane.BULK, next_attempt_at=NOON + SECOND)
        for name in names
    ]
    slow = [delivery(message, "u@a-slow.example", lane=Lane.BULK) for _ in range(20)]
    due = delivery(message, "u@z.example", lane=Lane.BULK)
    await store.write(lambda tx: tx.add_deliveries(message, [*later, *slow, due]))
    shares = Shares()
    for _ in range(16):
        shares.add(Lane.BULK, "a-slow.example", "another")
    fair_lease, looks = FairLease(shares), 0
    found: list[str] = []
    while not found and looks < 30:
        looks += 1
        wanted = Wanted(NOON, lease(), 20, {Lane.BULK: 32}, ended=False)
        taken = await fair_lease.lease(store, wanted)
        found = [one.delivery.destination for one in taken.leased]
    await store.close()
    assert (found, looks) == (["z.example"], 6)


async def test_leases_that_have_ended_are_taken_between_the_turns() -> None:
    worker = Worker()
    worker.queue("a", *many(100))
    worker.queue("b", *many(30))
    await worker.take()
    tables = worker.store.tables
    tables.leases = {i: (f, NOON - SECOND) for i, (f, _) in tables.leases.items()}
    assert await worker.take() == {"a": 10, "b": 10}
    assert (await worker.take(ended=True))["a"] > 10


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_backlog_of_tarpits_leaves_room_for_others(kind: str, tmp_path: Path) -> None:
    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 wait\r\n")

    port = free_port()
    server = await asyncio.start_server(hang, "127.0.0.2", port)
    quick = await asyncio.start_server(take_all, "127.0.0.1", port)
    store: Any = MemoryStore()
    if kind == "sqlite":
        store = await open_sqlite(tmp_path, WorkerId("node/boot/0"))
    bounds = Bounds(look=0.02, held=100, take_at_once=40, connections=60)
    async with Rig(port, bounds=bounds, store=store) as rig:
        delivered: set[str] = set()
        all_delivered = asyncio.Event()

        def heard(settlements: Sequence[Settlement], _: object) -> None:
            done = {one.held.id for one in settlements if one.state is DeliveryState.DELIVERED}
            delivered.update(done)
            if len(delivered) >= len("az" * 20):
                all_delivered.set()

        rig.settler.listen(heard)
        names = [f"slow{number}.example" for number in range(BACKLOG)]
        for name in names:
            rig.mx(name, (10, f"mx.{name}", "127.0.0.2"))
        for name in ("a", "z"):
            rig.mx(f"{name}.example", (10, "mx.quick.example", "127.0.0.1"))
        mallory = {"account": AccountName("mallory"), "age": timedelta(minutes=5)}
        paths = [f"s@{name}" for name in names]
        await rig.submit(*paths, lane=Lane.BULK, hand_over=False, **mallory)
        async with asyncio.timeout(30):
            while rig.scheduler.held < 40:  # its share is in hand
                await asyncio.sleep(0.02)
        for name in "az" * 20:
            await rig.submit(
                f"b@{name}.example", lane=Lane.BULK, hand_over=False, account=AccountName("bob")
            )
        async with asyncio.timeout(30):
            await all_delivered.wait()
    if kind == "sqlite":
        await store.close()
    server.close()
    quick.close()
