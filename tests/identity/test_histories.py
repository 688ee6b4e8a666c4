"""What a worker gathers, and what becomes of it in the store."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from gatepost.identity.breaker import Bounds
from gatepost.identity.histories import Histories
from gatepost.model.delivery import DeliveryState, Outcome, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, CredentialId, DeliveryId, SubmissionId
from gatepost.model.submission import Submission
from gatepost.store.account_protocols import KeptCredentials
from gatepost.store.leases import Held
from gatepost.store.protocols import Settlement
from gatepost.wire.smtp.reply_reader import Answered
from tests.memory_store import MemoryStore

NAME = AccountName("app@sender.test")
KEY = CredentialId("a" * 32)
BOUNDS = Bounds(refused=3, share=50, known_for=timedelta(microseconds=1), recipients=5, networks=2)
GONE = Outcome(
    OutcomeKind.REFUSED, 550, "5.1.1", "no", "mx.test", "192.0.2.1:25", answered=Answered.RCPT
)
BLOCKED = Outcome(OutcomeKind.REFUSED, 550, "5.7.1", "no", "mx.test", "192.0.2.1:25")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Dropped(list[str]):
    drop = list.append


class Store(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        tables: Any = self.tables
        tables.kept_credentials = lambda _: KeptCredentials()


def histories(bounds: Bounds | None = BOUNDS) -> tuple[Histories, Store, Dropped]:
    store, dropped = Store(), Dropped()
    directory: Any = dropped
    return Histories(store, directory, bounds), store, dropped


def ended(number: int, outcome: Outcome, state: DeliveryState) -> Settlement:
    message = Submission(
        SubmissionId("m"), "app@sender.test", 1, NOON, account=NAME, credential=KEY
    )
    held = Held(DeliveryId(f"d{number}"), 1)
    where = f"y{number}.example"
    return Settlement(held, state, outcome, (), submission=message, destination=where)


async def test_a_credential_whose_recipients_do_not_exist_is_held_once() -> None:
    gathered, store, dropped = histories()
    refused = [ended(n, GONE, DeliveryState.REFUSED) for n in range(3)]
    gathered.heard(refused, {each.held.id for each in refused})
    await gathered.flush()
    history = store.tables.history(KEY)
    assert history is not None
    assert history.hold is not None
    assert history.hold.because == "3 of 3 recipients in an hour do not exist"
    assert dropped == [NAME]
    (event,) = store.tables.event_rows
    assert (event.kind, event.account) == (EventKind.CREDENTIAL_HELD, NAME)
    gathered.heard(refused, {each.held.id for each in refused})
    await gathered.flush()
    assert len(store.tables.event_rows) == 1


async def test_blocks_deferrals_and_lost_leases_are_not_held_against_the_sender() -> None:
    gathered, store, _ = histories()
    told = [ended(n, BLOCKED, DeliveryState.REFUSED) for n in range(5)]
    told += [ended(n, GONE, DeliveryState.DUE) for n in range(5, 10)]
    gathered.heard(told, {each.held.id for each in told})
    gathered.heard([ended(n, GONE, DeliveryState.REFUSED) for n in range(10, 20)], set())
    await gathered.flush()
    history = store.tables.history(KEY)
    assert history is not None
    assert history.hold is None
    assert store.tables.event_rows == []


async def test_logins_and_messages_of_all_workers_are_added_up() -> None:
    gathered, store, _ = histories(Bounds(known_for=timedelta(days=7)))
    other = Histories(store, gathered._directory, Bounds())
    for number, each in enumerate((gathered, other)):
        each.note_login(NAME, KEY, f"192.0.{number}.9")
        each.note_accepted(NAME, KEY, 4)
        await each.flush()
    history = store.tables.history(KEY)
    assert history is not None
    assert sum(history.recipients.counts) == 8
    assert set(history.networks) == {"192.0.0.0/24", "192.0.1.0/24"}


async def test_news_wait_for_a_store_that_is_away() -> None:
    gathered, store, _ = histories(Bounds())
    store.away = True
    gathered.note_accepted(NAME, KEY, 1)
    await gathered.flush()
    gathered.note_accepted(NAME, KEY, 2)
    await gathered.flush()
    store.away = False
    await gathered.flush()
    history = store.tables.history(KEY)
    assert history is not None
    assert sum(history.recipients.counts) == 3


async def test_switched_off_nothing_is_counted() -> None:
    gathered, store, _ = histories(None)
    gathered.note_login(NAME, KEY, "192.0.2.1")
    gathered.note_accepted(NAME, KEY, 10_000)
    await gathered.flush()
    assert store.tables.history_rows == {}


async def test_a_fault_of_ours_costs_what_it_was_about_and_nothing_more() -> None:
    store, dropped = Store(), Dropped()
    directory: Any = dropped
    gathered = Histories(store, directory, BOUNDS, interval=0.0)
    running = asyncio.create_task(gathered.run())
    tables: Any = store.tables
    tables.history = lambda _: 1 / 0
    gathered.note_accepted(NAME, KEY, 1)
    while gathered._news:
        await asyncio.sleep(0)
    del tables.history
    gathered.note_accepted(NAME, KEY, 2)
    async with asyncio.timeout(30):
        while store.tables.history(KEY) is None:
            await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
