"""Due mail by destination: what every store hands out to a worker that has enough of some."""

from datetime import timedelta

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.lane import LANES, Lane
from gatepost.store.destinations import Walked
from tests.store.makers import ACCEPTED, NOON, delivery, lease, settled, submission
from tests.store.test_store_contract import ask, do, opener, put, store, take  # noqa: F401

OTP, TRANSACTIONAL, BULK = LANES
MINUTE = timedelta(minutes=1)


async def fill(store, *destinations: str, lane: Lane = BULK, due_at=NOON) -> None:  # noqa: F811
    def job(transaction):
        for number, name in enumerate(destinations):
            message = submission()
            at = due_at - MINUTE * number  # the last is the oldest
            way = delivery(message, f"u{number}@{name}", lane=lane, next_attempt_at=at)
            transaction.add_deliveries(message, [way])

    await store.write(job)


async def walk(store, after: str = "", limit: int = 10, lane: Lane = BULK):  # noqa: F811
    return await ask(store, "due_destinations", lane, NOON, after=after, limit=limit)


@pytest.mark.parametrize(
    ("after", "limit", "found"),
    [
        ("", 10, Walked(("a.example", "b.example", "d.example"), "")),
        ("", 2, Walked(("a.example", "b.example"), "b.example")),
        ("b.example", 1, Walked((), "c.example")),
        ("b.example", 2, Walked(("d.example",), "d.example")),
        ("d.example", 2, Walked((), "")),
    ],
)
async def test_names_come_in_order_and_those_that_only_wait_are_passed(
    store,  # noqa: F811
    after,
    limit,
    found,
) -> None:
    await fill(store, "b.example", "a.example", "d.example", "a.example")
    await fill(store, "c.example", due_at=NOON + MINUTE)
    await fill(store, "e.example", lane=OTP)
    assert await walk(store, after, limit) == found


async def test_what_is_leased_is_of_the_named_destinations_and_the_oldest(store) -> None:  # noqa: F811
    await fill(store, *["a.example"] * 3, *["b.example"] * 3, "c.example")
    await fill(store, "a.example", lane=OTP)
    leased = await do(
        store,
        "lease_of",
        NOON,
        lease(),
        destinations={BULK: ["b.example", "a.example", "nobody.example"]},
        each=2,
    )
    assert [one.delivery.forward_path for one in leased] == [
        f"u{number}@{name}.example" for name, number in [("b", 5), ("b", 4), ("a", 2), ("a", 1)]
    ]
    assert {one.delivery.state for one in leased} == {DeliveryState.LEASED}
    done = [settled(one, DeliveryState.DELIVERED, ACCEPTED) for one in leased]
    assert len(await do(store, "settle", done)) == 4
    assert await walk(store) == Walked(("a.example", "b.example", "c.example"), "")


async def test_leases_that_have_ended_are_taken_whatever_the_destination(store) -> None:  # noqa: F811
    await put(store, "bob@a.example", lane=BULK)
    assert len(await take(store, minutes=1)) == 1
    await fill(store, "a.example")
    within = dict.fromkeys(LANES, 9)
    args = {"limit": 9, "within": within}
    assert await do(store, "lease_ended", NOON, lease("node/2/0"), **args) == []
    (again,) = await do(store, "lease_ended", NOON + MINUTE, lease("node/2/0"), **args)
    assert (again.delivery.forward_path, again.fence) == ("bob@a.example", 2)
