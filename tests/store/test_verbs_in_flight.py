"""Held, released or cancelled while it is under way: what the next hop took is told, and goes once."""

from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.store.protocols import Store
from gatepost.store.queue_view import QueueFilter
from gatepost.store.verify import verify
from tests.store.makers import (
    ACCEPTED,
    CONTENT,
    LATER,
    NOON,
    REFUSED,
    delivery,
    event,
    lease,
    settled,
    submission,
)
from tests.store.openers import OPENERS

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
_LIVE = (DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.HELD)
HOLD, RELEASE, CANCEL = DeliveryState.HELD, DeliveryState.DUE, DeliveryState.CANCELLED


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def leased_one(store: Store, **changes):
    message = submission()
    way = delivery(message, **changes)
    job = lambda t: t.add_deliveries(message, [way], lease())  # noqa: E731
    (leased,) = await store.write(job, (message.id, (CONTENT,)))
    return leased


async def change(store: Store, leased, to: DeliveryState, now=NOON):
    ids = [leased.delivery.id]
    assert await store.write(lambda t: t.change_queue(ids, _LIVE, to, now)) == ids


async def settle(store: Store, *settlements):
    return await store.write(lambda t: t.settle(settlements))


async def one(store: Store, leased):
    (row,) = await store.read(lambda r: r.deliveries(QueueFilter(id=leased.delivery.id), limit=9))
    return row.delivery


async def kinds(store: Store):
    return [str(stored.event.kind) for stored in await store.read(lambda r: r.events())]


@pytest.mark.parametrize("verbs", [(), (HOLD,), (HOLD, RELEASE)])
@pytest.mark.parametrize("beside", [0, 1])
async def test_what_was_delivered_is_so_though_it_was_held_meanwhile(store, verbs, beside):
    leased = await leased_one(store)
    others = [await leased_one(store) for _ in range(beside)]
    for verb in verbs:
        await change(store, leased, verb)
    told = settled(leased, events=[event()])
    ours = await settle(store, told, *map(settled, others))
    assert ours == {leased.delivery.id, *(other.delivery.id for other in others)}
    found = await one(store, leased)
    assert (found.state, found.last_outcome) == (DeliveryState.DELIVERED, ACCEPTED)
    assert await kinds(store) == ["delivery.delivered"]
    assert await store.write(lambda t: t.lease_due(NOON + HOUR, lease(), limit=9)) == []
    assert await verify(store) == []


@pytest.mark.parametrize("verb", [HOLD, CANCEL])
@pytest.mark.parametrize(
    ("state", "outcome"), [(DeliveryState.DUE, LATER), (DeliveryState.REFUSED, REFUSED)]
)
async def test_any_other_outcome_gives_way_to_the_verb(store, verb, state, outcome):
    leased = await leased_one(store)
    await change(store, leased, verb)
    assert await settle(store, settled(leased, state, outcome, events=[event()])) == set()
    assert (await one(store, leased)).state is verb
    assert await kinds(store) == []


async def test_what_somebody_leased_since_is_theirs_to_settle(store):
    leased = await leased_one(store)
    await change(store, leased, HOLD)
    await change(store, leased, RELEASE)
    after = NOON + MINUTE * 3  # the lease has ended
    (again,) = await store.write(lambda t: t.lease_due(after, lease(minutes=5), limit=9))
    assert await settle(store, settled(leased, events=[event()])) == set()
    assert await kinds(store) == []
    assert await settle(store, settled(again)) == {leased.delivery.id}


async def test_what_is_released_while_it_is_under_way_is_nobody_elses(store):
    leased = await leased_one(store)
    await change(store, leased, HOLD)
    assert await verify(store) == []
    await change(store, leased, RELEASE, NOON + MINUTE)
    assert (await one(store, leased)).state is DeliveryState.LEASED
    assert await store.write(lambda t: t.lease_due(NOON + MINUTE, lease(), limit=9)) == []
    told = settled(leased, DeliveryState.DUE, LATER, events=[event()])
    assert await settle(store, told) == {leased.delivery.id}
    assert (await one(store, leased)).last_outcome == LATER
    assert await verify(store) == []


async def test_what_is_released_when_its_lease_has_ended_is_due(store):
    leased = await leased_one(store)
    await change(store, leased, HOLD)
    await change(store, leased, RELEASE, NOON + MINUTE * 2)
    assert (await one(store, leased)).state is DeliveryState.DUE
    (again,) = await store.write(
        lambda t: t.lease_due(NOON + MINUTE * 3, lease(minutes=5), limit=9)
    )
    assert await settle(store, settled(again)) == {leased.delivery.id}
    assert await verify(store) == []


async def test_what_was_delivered_and_cancelled_is_told(store):
    leased = await leased_one(store)
    await change(store, leased, CANCEL)
    told = settled(leased, events=[event()])
    assert await settle(store, told) == set()  # not ours any more
    assert (await one(store, leased)).state is DeliveryState.DELIVERED
    assert (await one(store, leased)).last_outcome == ACCEPTED
    assert await settle(store, told) == set()
    assert await kinds(store) == ["delivery.delivered"]  # once
    assert await verify(store) == []


@pytest.mark.parametrize(
    ("left", "held", "expires"),
    [
        (2 * HOUR, 5 * HOUR, 7 * HOUR),  # beyond its time: it has what it had left
        (2 * HOUR, 1 * HOUR, 3 * HOUR),
        (timedelta(0), 5 * HOUR, 6 * HOUR),  # an hour at least
    ],
)
async def test_what_was_held_has_the_time_for_trying_that_it_had(store, left, held, expires):
    leased = await leased_one(store, expires_at=NOON + left, attempts=3)
    await change(store, leased, HOLD)
    await change(store, leased, RELEASE, NOON + held)
    found = await one(store, leased)
    assert (found.next_attempt_at, found.expires_at) == (NOON + held, NOON + expires)


async def test_another_attempt_now_makes_the_time_for_trying_no_longer(store):
    leased = await leased_one(store, attempts=3)
    later = settled(leased, DeliveryState.DUE, LATER, next_attempt_at=NOON + HOUR)
    await settle(store, later)
    await change(store, leased, RELEASE)
    assert (await one(store, leased)).expires_at == leased.delivery.expires_at
