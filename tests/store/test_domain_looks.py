"""Looks at sending domains: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.domain import Domain
from gatepost.model.domain_look import DomainLook, Finding, Health, Standing
from gatepost.store.protocols import Store
from gatepost.store.queue_view import QueueFilter
from tests.store.makers import CONTENT, NOON, delivery, submission
from tests.store.openers import OPENERS

FINDING = Finding("SPF", "example.com", Standing.WRONG, "it does not allow ü", "mend it")
LOOK = DomainLook("example.com", NOON, Health.BAD, NOON, (FINDING,), frozenset({"a", "b"}))
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def test_a_look_is_kept_until_the_next_one(store: Store):
    await store.write(lambda tx: tx.put_domain_look(LOOK))
    assert await store.read(lambda reading: reading.domain_look("example.com")) == LOOK
    newer = replace(LOOK, looked_at=NOON + MINUTE, health=Health.GOOD, findings=())
    await store.write(lambda tx: tx.put_domain_look(newer))
    assert await store.read(lambda reading: reading.domain_looks()) == {"example.com": newer}
    assert await store.read(lambda reading: reading.domain_look("b.example")) is None


async def test_one_worker_looks_at_a_time(store: Store):
    def claim(at, minutes: int = 10):
        until = at + minutes * MINUTE
        return store.write(lambda tx: tx.claim_domain_look("example.com", at, until))

    assert await claim(NOON)
    assert not await claim(NOON + MINUTE)
    assert await store.read(lambda reading: reading.domain_looks()) == {}  # a claim is no look
    assert await claim(NOON + 10 * MINUTE)
    await store.write(lambda tx: tx.put_domain_look(LOOK))
    assert await claim(NOON + 11 * MINUTE)  # a look ends the claim
    assert await store.read(lambda reading: reading.domain_look("example.com")) == LOOK


async def test_a_removed_domain_takes_its_look_along(store: Store):
    await store.write(lambda tx: tx.put_domain(Domain("example.com", NOON)))
    await store.write(lambda tx: tx.put_domain_look(LOOK))
    await store.write(lambda tx: tx.remove_domain("example.com"))
    assert await store.read(lambda reading: reading.domain_looks()) == {}


async def test_deliveries_are_found_by_why_they_wait(store: Store):
    message = submission()
    ways = [
        delivery(message, "a@y.example", state=DeliveryState.HELD, reason="the key"),
        delivery(message, "b@y.example", state=DeliveryState.HELD, reason="something else"),
    ]
    await store.write(lambda tx: tx.add_deliveries(message, ways), (message.id, (CONTENT,)))
    which = QueueFilter(reason="the key")
    (row,) = await store.read(lambda reading: reading.deliveries(which, limit=10))
    assert row.delivery.forward_path == "a@y.example"
    assert (await store.read(lambda reading: reading.matching(which))).count == 1
    held = (DeliveryState.HELD,)
    changed = await store.write(
        lambda tx: tx.change_queue([row.delivery.id], held, DeliveryState.DUE, NOON)
    )
    assert changed == [ways[0].id]
