"""Domains are looked at when it is time, by one worker, and tell when they turn."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.identity.master_key import MasterKey
from gatepost.model.delivery import DeliveryState
from gatepost.model.domain import Domain
from gatepost.model.domain_look import DomainLook, Finding, Health, Standing
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.operate import domains
from gatepost.operate.accounts import By
from gatepost.operate.domain_looks import Watch, is_due, note, seen
from gatepost.reception.readiness import waits_for
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import open_sqlite
from tests.store.makers import CONTENT, delivery, submission

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = MasterKey(bytes(32))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass
class Dns:
    """What the next looks find; who was looked at."""

    standing: Standing = Standing.GOOD
    asked: list[str] = field(default_factory=list)

    async def check(self, domain: Domain) -> tuple[Finding, ...]:
        self.asked.append(domain.name)
        mend = "" if self.standing is Standing.GOOD else "publish it"
        return tuple(
            Finding("DKIM", f"{k.selector}._domainkey.{domain.name}", self.standing, "so", mend)
            for k in domain.keys
        )


@dataclass
class Clock:
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    await domains.add(opened, "example.com", KEY, by=By(NOON, "root"))
    yield opened
    await opened.close()


async def kinds(store) -> list[EventKind]:
    events = await store.read(lambda reading: reading.events())
    return [each.event.kind for each in events if each.event.kind is not EventKind.DOMAIN_ADDED]


async def test_a_good_domain_is_looked_at_seldom_and_another_one_often(store):
    dns, clock = Dns(Standing.MISSING), Clock()
    watch = Watch(store, dns.check, 6 * HOUR, clock.now)
    assert await watch.look() == 1  # one that was just added
    assert await watch.look() == 0
    clock.at += 5 * MINUTE
    dns.standing = Standing.GOOD
    assert await watch.look() == 1
    clock.at += 6 * HOUR - MINUTE
    assert await watch.look() == 0
    clock.at += MINUTE
    dns.standing = Standing.UNKNOWN
    assert await watch.look() == 1
    clock.at += 5 * MINUTE
    dns.standing = Standing.WRONG
    assert await watch.look() == 1
    assert await kinds(store) == [
        EventKind.DOMAIN_FAILING, EventKind.DOMAIN_PASSING, EventKind.DOMAIN_FAILING,
    ]  # fmt: skip
    last = (await store.read(lambda reading: reading.events()))[-1].event
    assert last.facts["domain"] == "example.com"
    assert "so: publish it" in last.facts["reason"]
    (only,) = await seen(store, "example.com")
    assert only.look is not None
    assert (only.look.health, only.look.looked_at) == (Health.BAD, clock.at)


async def test_what_a_neighbour_looks_at_is_left_to_it(store):
    dns, clock = Dns(), Clock()
    await store.write(lambda tx: tx.claim_domain_look("example.com", NOON, NOON + MINUTE))
    watch = Watch(store, dns.check, HOUR, clock.now)
    assert await watch.look() == 0
    clock.at += MINUTE
    assert await watch.look() == 1
    assert dns.asked == ["example.com"]


@pytest.mark.parametrize(
    ("health", "standing", "minutes", "due"),
    [
        (Health.GOOD, Standing.GOOD, 59, False),
        (Health.GOOD, Standing.GOOD, 60, True),
        (Health.GOOD, Standing.UNKNOWN, 4, False),
        (Health.GOOD, Standing.UNKNOWN, 5, True),
        (Health.BAD, Standing.WRONG, 5, True),
        (Health.UNSEEN, Standing.UNKNOWN, 5, True),
    ],
)
def test_when_it_is_time(health, standing, minutes, due):
    finding = Finding("SPF", "example.com", standing, "")
    look = DomainLook("example.com", NOON, health, NOON, (finding,), frozenset())
    assert is_due(look, HOUR, NOON + minutes * MINUTE) is due
    assert is_due(look, MINUTE, NOON + MINUTE)
    assert is_due(None, HOUR, NOON)


async def test_a_domain_that_is_gone_leaves_no_look(store):
    (domain,) = await domains.listing(store)
    await domains.remove(store, "example.com", by=By(NOON, "root"))
    assert await note(store, domain, (), NOON) is None
    assert await store.read(lambda reading: reading.domain_looks()) == {}


async def test_what_waited_for_the_key_goes_out_once_it_is_there(store):
    (domain,) = await domains.listing(store)
    message = submission()
    waiting, other = (
        delivery(message, to, state=DeliveryState.HELD, reason=reason)
        for to, reason in (("a@y.example", waits_for("example.com")), ("b@y.example", ""))
    )
    await store.write(
        lambda tx: tx.add_deliveries(message, [waiting, other]), (message.id, (CONTENT,))
    )

    async def states() -> dict[str, DeliveryState]:
        rows = await store.read(lambda reading: reading.deliveries(QueueFilter(), limit=10))
        return {row.delivery.forward_path: row.delivery.state for row in rows}

    await note(store, domain, await Dns(Standing.MISSING).check(domain), NOON)
    assert set((await states()).values()) == {DeliveryState.HELD}
    await note(store, domain, await Dns(Standing.GOOD).check(domain), NOON)
    assert await states() == {"a@y.example": DeliveryState.DUE, "b@y.example": DeliveryState.HELD}
    assert EventKind.RELEASED in await kinds(store)
