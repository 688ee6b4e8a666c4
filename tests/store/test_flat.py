"""What a message costs does not depend on how many wait: counted in steps of SQLite, not in time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.model.lane import LANES
from gatepost.store.protocols import Transaction
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.turns import Line, Turn
from tests.store.makers import ACCEPTED, NOON, delivery, event, held, lease, settled, submission

MINUTE = timedelta(minutes=1)
ACCOUNT = submission().account or ""
#: How many virtual instructions pass between two looks of the counter.
GRAIN = 10
#: Tables that grew a level deeper, and where among them a row happens to lie.
SLACK = 1.2


@dataclass
class Steps:
    """Counts what one connection does while it is asked to."""

    count: int = 0

    def of(self, work: Callable[[Any], object]) -> Callable[[Any], int]:
        def counted(asked: Any) -> int:
            connection = asked._connection
            asked.flush() if hasattr(asked, "flush") else None
            self.count = 0
            connection.set_progress_handler(self._step, GRAIN)
            try:
                work(asked)
                asked.flush() if hasattr(asked, "flush") else None
            finally:
                connection.set_progress_handler(None)
            return self.count * GRAIN

        return counted

    def _step(self) -> bool:
        self.count += 1
        return False


async def fill(store: SqliteStore, count: int) -> None:
    """Queue so many, a third of a lane each, for 100 domains; half of them are due."""

    def job(transaction: Transaction) -> None:
        for number in range(count // 10):
            message = submission()
            at = NOON + MINUTE * (1 if number % 2 else -1)
            ways = [
                delivery(
                    message,
                    f"u{number}@d{(number + n) % 100}.example",
                    lane=LANES[number % 3],
                    next_attempt_at=at,
                )
                for n in range(10)
            ]
            transaction.add_deliveries(message, ways)

    await store.write(job)


def accept(transaction: Transaction) -> None:
    for _ in range(20):
        message = submission()
        way = delivery(message)
        leased = transaction.add_deliveries(message, [way], lease())
        transaction.add_events([event(EventKind.ACCEPTED, message)])
        transaction.begin_attempts(held(one) for one in leased)
        transaction.settle(settled(one, DeliveryState.DELIVERED, ACCEPTED) for one in leased)


def take_the_oldest(transaction: Transaction) -> None:
    leased = transaction.lease_due(NOON, lease(), limit=60)
    assert len(leased) == 60
    transaction.give_back((held(one) for one in leased), NOON - MINUTE, "waits")


def take_from_some(transaction: Transaction) -> None:
    names = ["nobody.example", *(f"d{n}.example" for n in range(10))]
    turns = [Turn(Line(lane), ACCOUNT, 1, name) for lane in LANES for name in names]
    leased = transaction.lease_turns(NOON, lease(), turns)
    assert len(leased) == 30
    transaction.give_back((held(one) for one in leased), NOON - MINUTE, "waits")


def take_in_turn(transaction: Transaction) -> None:
    turns = [Turn(Line(lane), name, 20) for lane in LANES for name in ("nobody", ACCOUNT)]
    leased = transaction.lease_turns(NOON, lease(), turns)
    assert len(leased) == 60
    transaction.give_back((held(one) for one in leased), NOON - MINUTE, "waits")


def first_page(which: QueueFilter) -> Callable[[Any], object]:
    return lambda reading: reading.deliveries(which, limit=50)


WRITES: dict[str, Callable[[Any], object]] = {
    "accept, attempt, settle": accept,
    "lease the oldest": take_the_oldest,
    "lease from some destinations": take_from_some,
    "lease in turn": take_in_turn,
}
READS: dict[str, Callable[[Any], object]] = {
    "list": first_page(QueueFilter()),
    "list what is due": first_page(QueueFilter(states=(DeliveryState.DUE,))),
    "list what is held or due": first_page(
        QueueFilter(states=(DeliveryState.DUE, DeliveryState.HELD))
    ),
    "list what is leased": first_page(QueueFilter(states=(DeliveryState.LEASED,))),
    "next due": lambda reading: reading.next_due_at(),
    "accounts": lambda reading: reading.due_accounts(
        Line(LANES[0]), NOON, after=None, limit=50, enough=50
    ),
    "destinations": lambda reading: reading.due_destinations(
        Line(LANES[0]), ACCOUNT, NOON, after=None, limit=30, enough=30
    ),
    "notices": lambda reading: reading.notices_due(limit=10),
}


async def measure(store: SqliteStore) -> dict[str, int]:
    steps = Steps()
    found = {name: await store.write(steps.of(work)) for name, work in WRITES.items()}
    return found | {name: await store.inspect(steps.of(work)) for name, work in READS.items()}


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    yield opened
    await opened.close()


async def test_a_long_queue_costs_what_a_short_one_costs(store: SqliteStore) -> None:
    await fill(store, 3000)
    short = await measure(store)
    await fill(store, 27_000)
    long = await measure(store)
    dearer = {
        name: (before, long[name])
        for name, before in short.items()
        if long[name] > before * SLACK + 100 * GRAIN
    }
    assert dearer == {}
    assert all(short[name] for name in WRITES)
