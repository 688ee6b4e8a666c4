"""The filter holds what it was given; a worker hears of what is new, its own included."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName, DeliveryId, WorkerId
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.reception.suppressed import SubjectFilter, SuppressionList, drop_events, dropped
from gatepost.store.leases import Held
from gatepost.store.protocols import Settlement
from gatepost.store.sqlite import open_sqlite
from gatepost.store.suppressions import AccountRule, SuppressionKey
from tests.store.makers import delivery, submission

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
APP = AccountName("app")


@given(st.lists(st.text(max_size=40), max_size=50))
@settings(max_examples=50)
def test_what_was_added_is_held(subjects: list[str]) -> None:
    held = SubjectFilter(len(subjects))
    for subject in subjects:
        held.add(subject)
    assert all(subject in held for subject in subjects)


def test_few_strangers_are_taken_for_held_ones() -> None:
    held = SubjectFilter(10_000)
    for number in range(20_000):
        held.add(f"{number}@y.example")
    assert not held.is_full
    assert sum(f"{number}@z.example" in held for number in range(20_000)) < 60


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    yield opened
    await opened.close()


def bounced(subject: str, stream: str = "") -> Suppression:
    return Suppression(subject, SuppressionClass.BOUNCED, NOON, APP, stream)


async def test_a_worker_reads_what_is_new_when_the_version_changes(store) -> None:
    clock = Clock()
    known = SuppressionList(store, clock=clock)
    await known.note_version(1)
    await store.write(lambda tx: tx.add_suppressions([bounced("bob@y.example")], replace=False))
    await store.write(lambda tx: tx.put_account_rule(AccountRule(APP, drops=True)))
    await known.note_version(2)  # too soon after the last look
    assert not known.may_hold("bob@y.example")
    clock.now = 1.0
    await known.note_version(2)
    assert known.may_hold("Bob@Y.example")
    assert not known.may_hold("eve@y.example")
    assert known.rule(APP).drops
    assert not known.rule(AccountName("other")).drops
    found = await known.find("bob@y.example", APP)
    assert found is not None
    assert found.words == "bounced since 2026-01-01"
    assert await known.find("bob@y.example", AccountName("other")) is None
    key = SuppressionKey("bob@y.example", APP)
    await store.write(lambda tx: tx.remove_suppression(key))
    assert await known.find("bob@y.example", APP) is None


async def test_a_stream_s_suppression_holds_for_that_stream(store) -> None:
    one = bounced("bob@y.example", "news")
    await store.write(lambda tx: tx.add_suppressions([one], replace=False))
    known = SuppressionList(store)
    await known.refresh()
    assert await known.find("bob@y.example", APP) is None
    assert await known.find("bob@y.example", APP, "bills") is None
    assert await known.find("bob@y.example", APP, "news") == one


async def test_a_filter_that_is_full_is_made_anew(store) -> None:
    many = [bounced(f"{number}@y.example") for number in range(5_000)]
    known = SuppressionList(store)
    await known.refresh()
    await store.write(lambda tx: tx.add_suppressions(many, replace=False))
    await known.refresh()
    assert all(known.may_hold(each.subject) for each in many)
    assert sum(known.may_hold(f"{number}@z.example") for number in range(5_000)) < 50
    assert not known._filter.is_full


async def test_what_a_worker_wrote_itself_it_knows_at_once(store) -> None:
    known = SuppressionList(store)
    ours, theirs = (
        Settlement(
            Held(DeliveryId(name), 1), DeliveryState.REFUSED, None, (),
            suppression=bounced(f"{name}@y.example"),
        )
        for name in ("ours", "theirs")
    )  # fmt: skip
    good = replace(ours, suppression=None)
    known.settled([good, ours, theirs], {DeliveryId("ours")})
    assert known.may_hold("ours@y.example")
    assert not known.may_hold("theirs@y.example")


def test_whom_an_account_wants_dropped_is_never_tried_and_told() -> None:
    message = submission()
    first, second = (delivery(message, f"{name}@y.example") for name in ("bob", "eve"))
    ways = [dropped(each, {"bob@y.example": "bounced"}) for each in (first, second)]
    assert ways[0].state is DeliveryState.CANCELLED
    assert ways[1] is second
    (event,) = drop_events(ways, message)
    assert event.delivery_id == first.id
    assert event.facts == {"recipient": "bob@y.example", "reason": "suppressed: bounced"}
