"""What waits is counted by what it has in common: what every Store that lists promises."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName
from gatepost.model.lane import Lane
from gatepost.store.counts import Group, GroupBy, Sender
from gatepost.store.queue_view import QueueFilter
from tests.store.makers import LATER, NOON, delivery, held, lease, settled, submission
from tests.store.openers import OPENERS

DUE, HELD = DeliveryState.DUE, DeliveryState.HELD
SHOP, NEWS = AccountName("shop@x.example"), AccountName("news@x.example")


@pytest.fixture(params=OPENERS, ids=lambda each: each.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def put(store: Any, account: AccountName | None, *recipients: str, **changes: Any) -> Any:
    message = submission(account=account)
    ways = [delivery(message, recipient, **changes) for recipient in recipients]

    def job(transaction: Any) -> None:
        transaction.add_deliveries(message, ways)

    await store.write(job)
    return ways


async def groups(store: Any, by: GroupBy, limit: int = 9, **which: Any) -> Sequence[Group]:
    return await store.read(lambda r: r.queue_groups(QueueFilter(**which), by, limit=limit))


async def test_nothing_waits(store):
    for by in GroupBy:
        assert await groups(store, by) == []


async def test_the_largest_group_comes_first(store):
    (one, two) = await put(store, SHOP, "a@big.example", "b@big.example", reason="busy")
    (held,) = await put(store, NEWS, "c@small.example", state=HELD, lane=Lane.BULK)
    (stranger,) = await put(store, None, "d@big.example")
    small = Group("small.example", {HELD: 1}, 0, held.id)
    big = Group("big.example", {DUE: 3}, 0, min(one.id, two.id))
    assert await groups(store, GroupBy.DESTINATION) == [big, small]
    assert await groups(store, GroupBy.DESTINATION, limit=1) == [big]
    by_account = [(g.key, g.total) for g in await groups(store, GroupBy.ACCOUNT)]
    assert by_account == [(SHOP, 2), ("", 1), (NEWS, 1)]
    assert [(g.key, g.total) for g in await groups(store, GroupBy.LANE)] == [
        ("transactional", 3), ("bulk", 1),
    ]  # fmt: skip
    (only,) = await groups(store, GroupBy.REASON, account=SHOP, destination="big.example")
    assert only == Group("busy", {DUE: 2}, 0, min(one.id, two.id))
    (only,) = await groups(store, GroupBy.DESTINATION, id=stranger.submission_id)
    assert only.oldest == stranger.id


async def test_who_answered_last_and_what_was_tried_is_told(store):
    await put(store, SHOP, "a@big.example", "b@big.example")
    lease_one = lambda t: t.lease_due(NOON, lease(), limit=1)  # noqa: E731
    (leased,) = await store.write(lease_one)
    deferred = settled(leased, DUE, LATER, next_attempt_at=NOON, reason="451 later")
    await store.write(lambda t: t.begin_attempts([held(leased)]))
    await store.write(lambda t: t.settle([deferred]))
    found = [(g.key, g.total, g.tried) for g in await groups(store, GroupBy.HOST)]
    assert found == [("", 1, 0), (LATER.host, 1, 1)]


async def test_who_sent_how_much_since_when_is_told(store):
    await put(store, NEWS, "a@big.example")
    await put(store, SHOP, "a@big.example", "b@big.example")
    await put(store, None, "c@big.example")
    (leased, *_) = await store.write(lambda t: t.lease_due(NOON, lease(), limit=9))
    await store.write(lambda t: t.settle([settled(leased)]))
    size = submission().size
    told = [Sender(SHOP, 1, 2, size), Sender(NEWS, 1, 1, size)]
    assert await store.read(lambda r: r.senders(NOON - timedelta(hours=1))) == told
    assert await store.read(lambda r: r.senders(NOON + timedelta(days=1))) == []
