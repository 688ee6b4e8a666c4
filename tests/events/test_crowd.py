"""Refusals that strangers cause for nothing: told one by one while they are few, then counted."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.events.crowd import (
    MANY,
    TOLD,
    TOLD_BEYOND,
    TOLD_OF_ALL,
    TOLD_OF_DAY,
    TOLD_OF_NETWORK,
    Crowd,
)
from gatepost.events.record import Recorder
from gatepost.model.event import Event, EventKind
from tests.events.outbox import Outbox

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def refusal(
    client: str = "192.0.2.1", second: float = 0, kind: EventKind = EventKind.REFUSED_AT_DOOR
) -> Event:
    return Event(kind, NOON + timedelta(seconds=second), facts={"client": client})


@pytest.mark.parametrize("kind", [EventKind.REFUSED_AT_DOOR, EventKind.LOGIN_REFUSED])
def test_beyond_so_many_a_minute_one_event_says_how_many(kind: EventKind) -> None:
    crowd = Crowd()
    told = [e for n in range(TOLD + 500) for e in crowd.admit(refusal(second=n / 100, kind=kind))]
    assert len(told) == TOLD
    assert [crowd.waits] == [True]
    assert not crowd.summaries(NOON + timedelta(seconds=59))
    (summary,) = crowd.summaries(NOON + timedelta(seconds=60))
    assert (summary.kind, summary.facts["client"]) == (kind, "192.0.2.1")
    assert summary.facts["count"] == 500
    assert [crowd.waits] == [False]
    assert not crowd.summaries(NOON + timedelta(seconds=120))


def test_why_logins_were_refused_is_counted_where_it_is_not_told() -> None:
    crowd = Crowd()
    for number in range(TOLD + 60):
        reason = "wrong password" if number % 2 else f"unknown account: a{number}"
        event = refusal(kind=EventKind.LOGIN_REFUSED)
        crowd.admit(replace(event, facts={**event.facts, "reason": reason, "tag": "x"}))
    for number in range(20):
        event = refusal(kind=EventKind.LOGIN_REFUSED)
        crowd.admit(replace(event, facts={**event.facts, "reason": f"cause {number}"}))
    (summary,) = crowd.summaries(NOON + timedelta(seconds=60))
    assert summary.facts["tag"] == MANY
    causes = str(summary.facts["causes"])
    assert causes.startswith("unknown account 30, wrong password 30, other 14, cause 0 1")


def test_the_next_minute_is_told_again_behind_the_summary() -> None:
    crowd = Crowd()
    for _ in range(TOLD + 1):
        crowd.admit(refusal())
    told = list(crowd.admit(refusal(second=61)))
    assert [e.facts.get("count") for e in told] == [1, None]


def test_other_clients_kinds_and_events_are_not_touched() -> None:
    crowd = Crowd()
    for _ in range(100):
        crowd.admit(refusal())
    for event in (
        refusal("192.0.2.2"),
        refusal(kind=EventKind.LOGIN_REFUSED),
        refusal(kind=EventKind.LOGIN_SUCCEEDED),
        Event(EventKind.REFUSED_AT_DOOR, NOON),
    ):
        assert list(crowd.admit(event)) == [event]


def test_addresses_without_end_take_no_memory_and_no_disk_without_end() -> None:
    crowd = Crowd()
    told = sum(len(list(crowd.admit(refusal(f"2001:db8:{n:x}::1")))) for n in range(6000))
    assert told == TOLD_OF_ALL
    (summary,) = crowd.summaries(NOON + timedelta(seconds=60))
    assert summary.facts["count"] == 6000 - TOLD_OF_ALL
    assert summary.facts["client"] == "many addresses"
    assert [len(list(crowd.admit(refusal(second=61))))] == [1]


def test_a_network_is_told_less_of_than_its_clients_together() -> None:
    crowd = Crowd()
    clients = [f"2001:db8:0:{n:x}::1" for n in range(2000)]
    told = [len(list(crowd.admit(refusal(client)))) for _ in range(3) for client in clients]
    assert sum(told) == TOLD_OF_NETWORK
    assert list(crowd.admit(refusal("192.0.2.1"))) != []
    (summary,) = crowd.summaries(NOON + timedelta(seconds=60))
    assert summary.facts["client"] == "2001:db8::/48"
    assert summary.facts["count"] == 6000 - TOLD_OF_NETWORK


def test_summaries_are_few_however_many_refuse_to_go() -> None:
    crowd = Crowd()
    for network in range(200):
        for client in range(10):
            for _ in range(TOLD + 1):
                crowd.admit(refusal(f"2001:db8:{network:x}:{client:x}::1"))
    summaries = crowd.summaries(NOON + timedelta(seconds=60))
    assert len(summaries) <= TOLD_OF_ALL // TOLD + TOLD_OF_ALL // TOLD_OF_NETWORK + 1
    counted = sum(int(str(summary.facts["count"])) for summary in summaries)
    assert counted == 200 * 10 * (TOLD + 1) - TOLD_OF_ALL


def test_one_kind_leaves_the_other_its_room() -> None:
    crowd = Crowd()
    for n in range(2 * TOLD_OF_ALL):
        crowd.admit(refusal(f"2001:db8:{n:x}::1"))
    assert list(crowd.admit(refusal("192.0.2.1", kind=EventKind.LOGIN_REFUSED))) != []


async def test_what_was_counted_is_told_at_the_end() -> None:
    outbox = Outbox()
    store: Any = outbox
    recorder = Recorder(store)
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(0)
    for _ in range(TOLD + 7):
        recorder.record(refusal())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len(outbox.stored) == TOLD + 1
    assert outbox.stored[-1].event.facts["count"] == 7


def test_when_much_of_a_day_was_told_less_is_told_until_it_is_over() -> None:
    crowd, told, minutes = Crowd(), 0, 200
    for minute in range(minutes):
        for number in range(TOLD_OF_ALL + 100):
            client = f"10.{number % 250}.{number // 250}.1"
            event = refusal(client, 60 * minute, EventKind.LOGIN_REFUSED)
            told += sum("count" not in e.facts for e in crowd.admit(event))
    whole = TOLD_OF_DAY // TOLD_OF_ALL
    assert told == TOLD_OF_DAY + (minutes - whole) * TOLD_BEYOND
    # Another kind has its own, and the next day is told as the first.
    at_the_door = refusal("10.0.0.1", 60 * minutes)
    assert at_the_door in crowd.admit(at_the_door)
    tomorrow = [
        refusal(f"10.{n}.0.1", 86_400, EventKind.LOGIN_REFUSED) for n in range(TOLD_BEYOND * 2)
    ]
    assert all(event in crowd.admit(event) for event in tomorrow)
