"""Purses of workers over one store: exact together, seldom asking, giving back."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.quota import Limit, Limits, Unit, Window, account_subject, credential_subject
from gatepost.model.secret import Secret
from gatepost.reception.allowances import Allowances, Ticket
from gatepost.reception.quota import Use
from gatepost.store.protocols import NotLeasedError, StoreUnavailableError
from gatepost.store.sqlite import open_sqlite
from tests.memory_store import MemoryStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAME = AccountName("app@sender.test")
SUBJECT = account_subject(NAME)
M, R = Unit.MESSAGES, Unit.RECIPIENTS


def account(*limits: Limit) -> Account:
    return Account(NAME, (NAME,), NOON, limits=limits)


def hourly(most: int | None, unit: Unit = M) -> Limit:
    return Limit(unit, Window.HOUR, most)


class World:
    """Some workers, one store, one clock."""

    def __init__(self, store: Any = None, defaults: Limits = ()) -> None:
        self.store = store or MemoryStore()
        self.defaults = defaults
        self.at = NOON.timestamp()

    def worker(self, number: int = 0) -> Allowances:
        name = WorkerId(f"node/{number}/1.1/")
        return Allowances(self.store, name, self.defaults, clock=lambda: self.at)

    async def keep(self, ticket: Ticket) -> None:
        """Store the message that a ticket was drawn for."""
        spendings = ticket.spendings(datetime.fromtimestamp(self.at, UTC))
        await self.store.write(lambda tx: tx.spend(spendings))
        ticket.settle()

    async def send(self, allowances: Allowances, who: Account, recipients: int = 1) -> bool:
        ticket = await allowances.draw_message(who, None)
        if isinstance(ticket, Use):
            return False
        for _ in range(recipients):
            await allowances.draw_recipient(ticket)
        await self.keep(ticket)
        return True

    async def used(self, unit: Unit = M, window: Window = Window.HOUR) -> int:
        tally = await self.store.read(lambda reading: reading.tally(SUBJECT))
        return tally.used(unit, window, self.at)

    async def held(self) -> int:
        leases = await self.store.read(lambda reading: reading.quota_leases(SUBJECT))
        return sum(lease.messages for lease in leases)


@pytest.fixture
def world() -> World:
    return World()


class Asked(MemoryStore):
    """Counts how often it is asked to write."""

    writes = 0

    async def write(self, job: Any, content: Any = None) -> Any:
        self.writes += 1
        return await super().write(job, content)


async def test_an_account_without_limits_asks_nothing_and_leaves_nothing() -> None:
    world = World(Asked())
    worker = world.worker()
    for _ in range(10):
        ticket = await worker.draw_message(account(), None)
        assert isinstance(ticket, Ticket)
        assert await worker.draw_recipient(ticket) is None
        assert ticket.spendings(NOON) == ()
        ticket.settle()
    assert (world.store.writes, len(worker)) == (0, 0)


async def test_a_limit_of_1000_costs_less_than_a_tenth_as_many_questions() -> None:
    world = World(Asked())
    worker = world.worker()
    who = account(hourly(1000))
    for _ in range(1000):
        ticket = await worker.draw_message(who, None)
        assert isinstance(ticket, Ticket)
        asked = world.store.writes
        await world.keep(ticket)
        world.store.writes = asked
    assert world.store.writes < 100
    assert isinstance(await worker.draw_message(who, None), Use)


async def test_two_workers_and_many_sessions_accept_exactly_the_limit(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/9/1.1/"))
    world = World(store)
    workers = [world.worker(0), world.worker(1)]
    who = account(hourly(100), Limit(R, Window.DAY, 1000))
    looking = [asyncio.create_task(_look(worker)) for worker in workers]
    sent = await asyncio.gather(*(world.send(workers[n % 2], who) for n in range(150)))
    for task in looking:
        task.cancel()
    assert sum(sent) == 100
    assert await world.used() == 100
    await store.close()


async def _look(worker: Allowances) -> None:
    """Be the worker's poll of the store."""
    version = 0
    while True:
        version += 1
        await worker.note_version(version)
        await asyncio.sleep(0.05)


async def test_a_neighbour_gives_back_what_it_does_not_use(world: World) -> None:
    first, second = world.worker(0), world.worker(1)
    who = account(hourly(10))
    assert await world.send(first, who)
    # As if the first had drawn all the rest, when much was left.
    purse = first._purses[SUBJECT]
    held = await world.held()
    await world.store.write(
        lambda tx: tx.put_quota_lease(_with(tx.quota_leases(SUBJECT), first, world.at, 9))
    )
    purse.free[M] = 9
    assert held <= 1
    looking = asyncio.create_task(_look(first))
    sent = [await world.send(second, who) for _ in range(9)]
    assert sent == [True] * 9
    assert not await world.send(second, who)
    looking.cancel()
    assert await world.used() == 10


def _with(leases: Any, worker: Allowances, at: float, messages: int) -> Any:
    from gatepost.store.quota_protocols import QuotaLease

    until = datetime.fromtimestamp(at + 30, UTC)
    return QuotaLease(SUBJECT, worker._worker, messages, 0, until)


async def test_what_came_to_nothing_is_given_back_and_used_again(world: World) -> None:
    worker = world.worker()
    who = account(hourly(1), hourly(2, R))
    for _ in range(5):
        ticket = await worker.draw_message(who, None)
        assert isinstance(ticket, Ticket)
        assert await worker.draw_recipient(ticket) is None
        assert await worker.draw_recipient(ticket) is None
        assert isinstance(await worker.draw_recipient(ticket), Use)
        ticket.give_back()
    assert await world.used() == 0
    assert await world.send(worker, who)
    assert not await world.send(worker, who)


async def test_what_nobody_uses_goes_back_and_the_purse_is_closed(world: World) -> None:
    worker = world.worker()
    assert await world.send(worker, account(hourly(100)))
    assert await world.held() > 0
    await worker.tidy()
    assert len(worker) == 1  # used a moment ago
    world.at += 1.5
    await worker.tidy()
    assert (await world.held(), len(worker)) == (0, 0)
    assert await world.used() == 1


async def test_a_transaction_under_way_keeps_its_lease_alive(world: World) -> None:
    worker = world.worker()
    ticket = await worker.draw_message(account(hourly(100)), None)
    assert isinstance(ticket, Ticket)
    for _ in range(20):
        world.at += 5
        await worker.tidy()
        leases = await world.store.read(lambda reading: reading.quota_leases(SUBJECT))
        assert [(row.messages, row.until.timestamp() > world.at + 5) for row in leases] == [
            (1, True)
        ]
    await world.keep(ticket)
    assert await world.held() == 0
    assert await world.used() == 1


async def test_a_dead_worker_s_lease_ends_and_costs_nothing(world: World) -> None:
    dead, alive = world.worker(0), world.worker(1)
    who = account(hourly(10))
    kept = await dead.draw_message(who, None)
    lost = await dead.draw_message(who, None)
    assert isinstance(kept, Ticket)
    assert isinstance(lost, Ticket)
    await world.keep(kept)
    world.at += 31
    sent = [await world.send(alive, who) for _ in range(10)]
    assert sent.count(True) == 9
    assert await world.used() == 10


async def test_a_worker_that_stood_still_spends_nothing_that_has_ended(world: World) -> None:
    slow, other = world.worker(0), world.worker(1)
    who = account(hourly(100))
    assert await world.send(slow, who)
    world.at += 31
    while await world.send(other, who):
        pass
    assert await world.used() == 100
    assert not await world.send(slow, who)


@pytest.mark.parametrize("drawn_by_others", [True, False])
async def test_what_was_under_way_while_a_worker_stood_still_is_stored_if_nobody_has_drawn_it(
    world: World, *, drawn_by_others: bool
) -> None:
    slow, other = world.worker(0), world.worker(1)
    who = account(hourly(100))
    ticket = await slow.draw_message(who, None)
    assert isinstance(ticket, Ticket)
    world.at += 31
    while drawn_by_others and await world.send(other, who):
        pass
    with pytest.raises(NotLeasedError) if drawn_by_others else contextlib.nullcontext():
        await world.keep(ticket)
    assert await world.used() == (100 if drawn_by_others else 1)


class Cut(MemoryStore):
    """The store of others, as a worker sees it that may be cut off."""

    def __init__(self, whole: MemoryStore) -> None:
        super().__init__()
        self.tables = whole.tables


async def test_a_worker_that_is_cut_off_spends_nothing_that_has_ended(world: World) -> None:
    cut = Cut(world.store)
    apart = Allowances(cut, WorkerId("node/0/1.1/"), clock=lambda: world.at)
    who = account(hourly(100))
    assert await world.send(apart, who)
    cut.away = True
    for _ in range(7):
        world.at += 5
        with contextlib.suppress(StoreUnavailableError):  # its client tries again and again
            ticket = await apart.draw_message(who, None)
            assert isinstance(ticket, Ticket)
            ticket.give_back()
        with contextlib.suppress(StoreUnavailableError):
            await apart.tidy()
    cut.away = False
    world.at += 2
    other = world.worker(1)
    while await world.send(other, who):
        pass
    assert await world.used() == 100
    assert not await world.send(apart, who)


async def test_a_lowered_limit_holds_at_once_and_a_lifted_one_is_none(world: World) -> None:
    worker = world.worker()
    for _ in range(5):
        assert await world.send(worker, account(hourly(1000)))
    assert not await world.send(worker, account(hourly(5)))
    assert await world.send(worker, account(hourly(6)))
    assert not await world.send(worker, account(hourly(6)))
    assert await world.send(worker, account(hourly(None)))
    world.at += 2
    await worker.tidy()
    assert await world.held() == 0


async def test_defaults_hold_where_an_account_has_no_limit_of_its_own() -> None:
    world = World(defaults=(hourly(1),))
    worker = world.worker()
    assert await world.send(worker, account())
    assert not await world.send(worker, account())
    assert await world.send(worker, account(hourly(2)))
    assert await world.send(worker, account(hourly(None)))


async def test_a_credential_has_limits_of_its_own_within_the_account_s(world: World) -> None:
    worker = world.worker()
    who = account(hourly(3))
    app = Credential(
        CredentialId("c7"), NAME, CredentialKind.APP_PASSWORD, Secret(""), NOON,
        label="printer", limits=(hourly(1),),
    )  # fmt: skip
    ticket = await worker.draw_message(who, app)
    assert isinstance(ticket, Ticket)
    assert [s.subject for s in ticket.spendings(NOON)] == [SUBJECT, credential_subject("c7")]
    await world.keep(ticket)
    spent = await worker.draw_message(who, app)
    assert isinstance(spent, Use)
    assert spent.most == 1
    # What the account gave for it was given back.
    assert [await world.send(worker, who) for _ in range(3)] == [True, True, False]


async def test_a_client_that_tries_again_and_again_asks_the_store_once_a_second() -> None:
    world = World(Asked())
    worker = world.worker()
    who = account(hourly(1))
    assert await world.send(worker, who)
    asked = world.store.writes
    for _ in range(50):
        assert not await world.send(worker, who)
    assert world.store.writes == asked + 1
    world.at += 3600
    assert await world.send(worker, who)


async def test_a_store_that_is_away_is_said_and_left_alone_for_a_moment() -> None:
    world = World(Asked())
    worker = world.worker()
    world.store.away = True
    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            await worker.draw_message(account(hourly(9)), None)
    assert world.store.writes == 1
    world.store.away = False
    world.at += 2
    assert await world.send(worker, account(hourly(9)))


async def test_a_clock_that_is_set_back_prolongs_no_belief() -> None:
    world = World(Asked())
    worker = world.worker()
    world.store.away = True
    with pytest.raises(StoreUnavailableError):
        await worker.draw_message(account(hourly(9)), None)
    world.store.away = False
    world.at -= 3600
    assert await world.send(worker, account(hourly(9)))


async def test_the_operator_is_told_at_80_and_95_percent_once(world: World) -> None:
    worker = world.worker()
    who = account(hourly(20))
    for _ in range(25):
        await world.send(worker, who)
        world.at += 1.5
        await worker.tidy()
    events = world.store.tables.event_rows
    assert [event.kind for event in events] == [EventKind.QUOTA_WARNED] * 2
    assert [event.facts["percent"] for event in events] == [80, 95]
    assert [event.facts["used"] for event in events] == [16, 19]


async def test_at_its_end_a_worker_gives_everything_back(world: World) -> None:
    worker = world.worker()
    running = asyncio.create_task(worker.run())
    assert await world.send(worker, account(hourly(100)))
    assert await world.held() > 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await world.held() == 0
