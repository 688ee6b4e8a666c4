"""Several workers look for what is owed at once: every recipient is told of once."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.submission import Origin
from gatepost.reception.accept import Acceptance
from gatepost.reception.returned import accept_return
from gatepost.returns.notify import Notifier, ReturnMessage, StrikeOut
from gatepost.store.notices import NoticeKind
from gatepost.store.protocols import Store
from gatepost.store.queue_view import QueueFilter
from tests.store.makers import CONTENT, NOON, REFUSED, delivery, lease, settled, submission
from tests.store.openers import Opener, postgresql, sqlite

RECIPIENTS = ("r0@y.example", "r1@y.example")


class Worker:
    """Looks for notes; `gate` holds it up where it has composed a report."""

    def __init__(self, store: Store, strangers: int = 100) -> None:
        self.store = store
        self.gate = asyncio.Event()
        self.composed = asyncio.Event()
        self.reported: list[ReturnMessage] = []
        self.notifier = Notifier(
            store, "relay.test", self._accept, now=lambda: NOON, strangers=strangers
        )
        self._acceptance = Acceptance(store, "relay.test", 1 << 20, timedelta(days=2))

    async def _accept(self, message: ReturnMessage, strike_out: StrikeOut) -> bool:
        self.composed.set()
        await self.gate.wait()
        taken = await accept_return(message, strike_out, self._acceptance)
        self.reported.append(message)
        return taken

    def told_of(self) -> list[str]:
        texts = [message.content for message in self.reported]
        return [r for text in texts for r in RECIPIENTS if f"; {r}\r\n".encode() in text]


@pytest.mark.parametrize("opener", [sqlite, postgresql], ids=lambda one: one.__name__)
@pytest.mark.parametrize("together", [True, False], ids=["the same", "a part"])
async def test_a_recipient_is_told_of_once(tmp_path, opener: Opener, together: bool) -> None:
    stores = [await opener(tmp_path) for _ in range(2)]
    slow, quick = map(Worker, stores)
    message = submission(reverse_path="me@x.example")
    ways = [delivery(message, each) for each in RECIPIENTS]
    leased = await slow.store.write(
        lambda t: t.add_deliveries(message, ways, lease()), (message.id, [CONTENT])
    )

    async def fail(store: Store, *numbers: int) -> None:
        outcomes = [
            settled(leased[n], DeliveryState.REFUSED, REFUSED, notice=NoticeKind.RETURN)
            for n in numbers
        ]
        assert len(await store.write(lambda t: t.settle(outcomes))) == len(numbers)

    await fail(slow.store, *((0, 1) if together else (0,)))
    task = asyncio.create_task(slow.notifier.send_due())
    await slow.composed.wait()
    if not together:
        await fail(quick.store, 1)
    quick.gate.set()
    await quick.notifier.send_due()
    slow.gate.set()
    await task
    assert sorted(slow.told_of() + quick.told_of()) == list(RECIPIENTS)
    rows = await slow.store.read(lambda r: r.deliveries(QueueFilter(), limit=9))
    assert len(rows) == len(slow.reported + quick.reported) == 1
    events = await slow.store.read(lambda r: r.events(submission_id=message.id))
    assert [each.event.kind for each in events] == [EventKind.RETURNED] * 2
    for store in stores:
        await store.close()


@pytest.mark.parametrize("opener", [sqlite, postgresql], ids=lambda one: one.__name__)
async def test_what_a_neighbour_told_of_in_part_is_composed_anew(tmp_path, opener: Opener) -> None:
    """It took fewer notes at a time, or saw one before the other was there."""
    store = await opener(tmp_path)
    worker = Worker(store)
    message = submission(reverse_path="me@x.example")
    ways = [delivery(message, each) for each in RECIPIENTS]
    leased = await store.write(
        lambda t: t.add_deliveries(message, ways, lease()), (message.id, [CONTENT])
    )
    outcomes = [
        settled(each, DeliveryState.REFUSED, REFUSED, notice=NoticeKind.RETURN) for each in leased
    ]
    await store.write(lambda t: t.settle(outcomes))
    task = asyncio.create_task(worker.notifier.send_due())
    await worker.composed.wait()
    assert await store.write(lambda t: t.clear_notice(ways[0].id, NoticeKind.RETURN))
    worker.gate.set()
    await task
    assert worker.told_of() == []
    await worker.notifier.send_due()
    assert worker.told_of() == [RECIPIENTS[1]]
    await store.close()


@pytest.mark.parametrize("opener", [sqlite, postgresql], ids=lambda one: one.__name__)
async def test_workers_together_keep_to_the_reports_for_strangers(tmp_path, opener: Opener) -> None:
    workers = [Worker(await opener(tmp_path), strangers=1) for _ in range(2)]
    store = workers[0].store
    for number in range(3):
        message = submission(reverse_path=f"a{number}@x.example", account=None, origin=Origin.MX)
        way = delivery(message, RECIPIENTS[0])
        (leased,) = await store.write(
            lambda t, m=message, w=way: t.add_deliveries(m, [w], lease()), (message.id, [CONTENT])
        )
        failed = settled(leased, DeliveryState.REFUSED, REFUSED, notice=NoticeKind.RETURN)
        await store.write(lambda t, f=failed: t.settle([f]))
    tasks = [asyncio.create_task(worker.notifier.send_due()) for worker in workers]
    for worker in workers:  # both have found that there is room, and composed
        await worker.composed.wait()
    for worker in workers:
        worker.gate.set()
    await asyncio.gather(*tasks)
    while await store.read(lambda r: r.notices_due(limit=9)):
        await workers[0].notifier.send_due()
    assert sum(len(worker.reported) for worker in workers) == 1
    events = await store.read(lambda r: r.events())
    kinds = Counter(each.event.kind for each in events)
    assert (kinds[EventKind.RETURNED], kinds[EventKind.RETURN_DROPPED]) == (1, 2)
    for worker in workers:
        await worker.store.close()
