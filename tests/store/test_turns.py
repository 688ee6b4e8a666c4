"""Whose turn it is: what every store hands out to a worker for whom more is due than it can take."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName
from gatepost.model.lane import LANES, Lane
from gatepost.store.turns import Line, Turn, Walked
from tests.memory_store import MemoryStore
from tests.store.makers import ACCEPTED, NOON, delivery, lease, settled, submission
from tests.store.openers import OPENERS
from tests.store.test_store_contract import ask, do, put, take

OTP, TRANSACTIONAL, BULK = LANES
MINUTE = timedelta(minutes=1)
LINE = Line(BULK)


@pytest.fixture(params=[*OPENERS, None], ids=lambda each: each.__name__ if each else "memory")
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param is None:
        yield MemoryStore()
        return
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def fill(store: Any, *pairs: str, lane: Lane = BULK, due_at=NOON) -> None:
    """Queue a delivery for each "ACCOUNT>DESTINATION", each a minute older than the one before."""

    def job(transaction: Any) -> None:
        for number, pair in enumerate(pairs):
            account, _, name = pair.partition(">")
            message = submission(account=AccountName(account) if account else None)
            at = due_at - MINUTE * number
            way = delivery(message, f"u{number}@{name}", lane=lane, next_attempt_at=at)
            transaction.add_deliveries(message, [way])

    await store.write(job)


async def accounts(store: Any, after: str | None = None, limit: int = 9, enough: int = 9) -> Walked:
    return await ask(store, "due_accounts", LINE, NOON, after=after, limit=limit, enough=enough)


async def destinations(
    store: Any, account: str = "a", after: str | None = None, limit: int = 9, enough: int = 9
) -> Walked:
    bounds = {"after": after, "limit": limit, "enough": enough}
    return await ask(store, "due_destinations", LINE, account, NOON, **bounds)


def paths(leased: Any) -> list[str]:
    return [one.delivery.forward_path for one in leased]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, Walked(("", "a", "b", "d"), None)),
        ({"limit": 2}, Walked(("", "a"), "a")),
        ({"enough": 3}, Walked(("", "a", "b"), "b")),
        ({"after": ""}, Walked(("a", "b", "d"), None)),
        ({"after": "b", "limit": 1}, Walked((), "c")),
        ({"after": "b", "enough": 1}, Walked(("d",), "d")),
        ({"after": "d"}, Walked((), None)),
    ],
)
async def test_accounts_come_in_order_and_those_that_only_wait_are_passed(store, asked, found):
    await fill(store, "b>x.example", "a>x.example", "d>y.example", "a>z.example", ">x.example")
    await fill(store, "c>x.example", "a>x.example", due_at=NOON + MINUTE * 2)
    await fill(store, "e>x.example", lane=OTP)
    assert await accounts(store, **asked) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, Walked(("a.example", "b.example", "d.example"), None)),
        ({"limit": 2}, Walked(("a.example", "b.example"), "b.example")),
        ({"after": "b.example", "enough": 1}, Walked(("d.example",), "d.example")),
        ({"after": "b.example", "limit": 1}, Walked((), "c.example")),
        ({"after": "b.example", "limit": 2}, Walked(("d.example",), "d.example")),
        ({"after": "d.example"}, Walked((), None)),
        ({"account": "nobody"}, Walked((), None)),
    ],
)
async def test_an_account_s_destinations_come_in_order(store, asked, found):
    await fill(store, "a>b.example", "a>a.example", "a>d.example", "a>a.example", "b>f.example")
    await fill(store, "a>c.example", due_at=NOON + MINUTE)
    await fill(store, "a>e.example", lane=OTP)
    assert await destinations(store, **asked) == found


async def test_a_turn_is_of_the_account_and_the_oldest_go_first(store):
    await fill(store, *["a>x.example"] * 3, *["b>x.example"] * 3, "b>y.example", "c>x.example")
    await fill(store, "a>x.example", lane=OTP)
    await fill(store, "a>x.example", due_at=NOON + MINUTE)
    turns = [Turn(LINE, "a", 2), Turn(LINE, "b", 9, "y.example"), Turn(LINE, "nobody", 9)]
    leased = await do(store, "lease_turns", NOON, lease(), turns)
    assert sorted(paths(leased)) == ["u1@x.example", "u2@x.example", "u6@y.example"]
    assert {one.delivery.state for one in leased} == {DeliveryState.LEASED}
    done = [settled(one, DeliveryState.DELIVERED, ACCEPTED) for one in leased]
    assert len(await do(store, "settle", done)) == 3
    assert await accounts(store) == Walked(("a", "b", "c"), None)
    assert await destinations(store, "b") == Walked(("x.example",), None)
    assert await do(store, "lease_turns", NOON, lease(), []) == []


async def test_a_delivery_may_take_the_share_of_another_account_than_its_message_s(store):
    report = submission(account=None)
    ways = [delivery(report, "a@x.example", lane=BULK, account="a")]
    (handed_over,) = await do(store, "add_deliveries", report, ways, lease())
    await do(store, "free_leases", "node/")
    assert await accounts(store) == Walked(("a",), None)
    (leased,) = await do(store, "lease_turns", NOON, lease(), [Turn(LINE, "a", 9)])
    for each in (handed_over, leased):
        assert (each.account, each.submission.account) == ("a", None)


async def test_mail_that_is_given_back_has_its_turn_again(store):
    await fill(store, "a>x.example", ">x.example")
    turns = [Turn(LINE, "a", 9), Turn(LINE, "", 9, "x.example")]
    assert len(await do(store, "lease_turns", NOON, lease(), turns)) == 2
    assert await accounts(store) == Walked((), None)
    assert await do(store, "free_leases", "node/") == 2
    assert await accounts(store) == Walked(("", "a"), None)
    assert len(await do(store, "lease_turns", NOON, lease("node/2/0"), turns)) == 2


async def test_leases_that_have_ended_are_taken_whoever_s_they_are(store):
    if isinstance(store, MemoryStore):
        return
    await put(store, "bob@a.example", lane=BULK)
    assert len(await take(store, minutes=1)) == 1
    await fill(store, "a>a.example")
    within = dict.fromkeys(LANES, 9)
    args = {"limit": 9, "within": within}
    assert await do(store, "lease_ended", NOON, lease("node/2/0"), **args) == []
    (again,) = await do(store, "lease_ended", NOON + MINUTE, lease("node/2/0"), **args)
    assert (again.delivery.forward_path, again.fence) == ("bob@a.example", 2)
