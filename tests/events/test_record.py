"""Events that belong to no transaction reach the outbox, many at a time."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.events import record
from gatepost.events.record import Recorder, about_delivery
from gatepost.model.delivery import Delivery, Outcome, OutcomeKind
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId
from gatepost.model.submission import Submission
from tests.events.outbox import Outbox

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def event(number: int = 0) -> Event:
    return Event(EventKind.REFUSED_AT_DOOR, NOW, facts={"number": number})


def recorder(outbox: Outbox) -> Recorder:
    store: Any = outbox
    return Recorder(store)


async def test_many_events_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_INTERVAL", 0.01)
    outbox = Outbox()
    ours = recorder(outbox)
    task = asyncio.create_task(ours.run())
    for number in range(100):
        ours.record(event(number))
    async with asyncio.timeout(30):
        while not outbox.stored:
            await asyncio.sleep(0.01)
    assert outbox.writes == 1
    assert [s.event.facts["number"] for s in outbox.stored] == list(range(100))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_what_waits_at_the_end_is_written() -> None:
    outbox = Outbox()
    ours = recorder(outbox)
    task = asyncio.create_task(ours.run())
    await asyncio.sleep(0)
    ours.record(event())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len(outbox.stored) == 1


async def test_events_wait_while_the_store_is_away() -> None:
    outbox = Outbox()
    ours = recorder(outbox)
    outbox.away = True
    ours.record(event(1))
    await ours.flush()
    ours.record(event(2))
    outbox.away = False
    await ours.flush()
    assert [s.event.facts["number"] for s in outbox.stored] == [1, 2]


async def test_an_event_that_cannot_be_written_takes_no_other_with_it() -> None:
    outbox = Outbox()
    ours = recorder(outbox)
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    for number in range(7):
        ours.record(event(number))
    ours.record(Event(EventKind.REFUSED_AT_DOOR, NOW, facts={"poison": True}))
    ours.record(event(7))
    await ours.flush()
    assert [s.event.facts["number"] for s in outbox.stored] == list(range(8))
    assert told == ["an event message.refused was not written"]


async def test_a_store_that_stays_away_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record, "_MOST", 10)
    outbox = Outbox()
    ours = recorder(outbox)
    for number in range(12):
        ours.record(event(number))
    await ours.flush()
    assert [s.event.facts["number"] for s in outbox.stored] == [5, 6, 7, 8, 9, 10, 11]


def test_an_event_of_a_delivery_carries_what_is_known_and_nothing_empty() -> None:
    submission = Submission(
        SubmissionId("1" * 32), "a@b.example", 10, NOW, account=AccountName("a")
    )
    delivery = Delivery(
        DeliveryId("2" * 32), submission.id, "c@d.example", "d.example", NOW, NOW, attempts=3
    )
    outcome = Outcome(OutcomeKind.DEFERRED, text="connection refused", address="192.0.2.1:25")
    made = about_delivery(
        EventKind.DEFERRED, delivery, submission, NOW + timedelta(1), outcome=outcome, reason=""
    )
    assert made.submission_id == submission.id
    assert made.delivery_id == delivery.id
    assert made.account == "a"
    assert made.facts == {
        "recipient": "c@d.example",
        "attempt": 3,
        "text": "connection refused",
        "address": "192.0.2.1:25",
    }
