"""Mail of pools of source addresses, and paused addresses: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.model.account import Account
from gatepost.model.delivery import DeliveryState, Outcome, OutcomeKind
from gatepost.model.ids import AccountName, WorkerId
from gatepost.model.lane import LANES, Lane
from gatepost.model.source import Source
from gatepost.store.leases import Held, Lease
from gatepost.store.notices import NoticeKind
from gatepost.store.pauses import Pause
from gatepost.store.pools import Share, dealt, shared_out
from gatepost.store.presences import Announced
from gatepost.store.queue_view import QueueFilter
from gatepost.store.turns import Line, Turn, Walked
from gatepost.wire.smtp.notification import Notify, RecipientWishes
from tests.memory_store import MemoryStore
from tests.store.makers import ACCEPTED, NOON, delivery, settled, submission
from tests.store.openers import OPENERS
from tests.store.test_presences import said

OTP, TRANSACTIONAL, BULK = LANES
MINUTE = timedelta(minutes=1)
OLD = submission(received_at=NOON - 5 * MINUTE)
PAUSE = Pause("192.0.2.5", NOON, "ops", "listed")


@pytest.fixture(params=[*OPENERS, None], ids=lambda each: each.__name__ if each else "memory")
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param is None:
        yield MemoryStore()
        return
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def do(store: Any, name: str, *arguments: Any, **more: Any) -> Any:
    return await store.write(lambda transaction: getattr(transaction, name)(*arguments, **more))


async def ask(store: Any, name: str, *arguments: Any, **more: Any) -> Any:
    return await store.read(lambda reading: getattr(reading, name)(*arguments, **more))


async def put(store: Any, *pools: str, of: Any = None, **changes: Any) -> Any:
    """Queue a delivery for each pool, each a minute older than the one before."""

    def job(transaction: Any) -> list[Any]:
        ways = []
        for number, pool in enumerate(pools):
            message = of or submission()
            at = changes.pop("next_attempt_at", NOON - MINUTE * number)
            name = f"u{number}@{pool or 'any'}.example"
            way = delivery(message, name, pool=pool, next_attempt_at=at, **changes)
            transaction.add_deliveries(message, [way])
            ways.append(way)
        return ways

    return await store.write(job)


def of(*pools: str, minutes: int = 2, worker: str = "node/1/0") -> Lease:
    return Lease(WorkerId(worker), NOON + MINUTE * minutes, pools)


def pools_of(leased: Any) -> list[str]:
    return [one.delivery.pool for one in leased]


@pytest.mark.parametrize(
    ("served", "found"),
    [
        (("",), [""]),
        (("a",), ["a"]),
        (("", "a"), ["", "a"]),
        (("b", "a", "nobody's"), ["a", "b"]),
        (("nobody's",), []),
        (("A",), []),
    ],
)
async def test_a_worker_leases_of_the_pools_that_it_serves(store, served, found):
    await put(store, "", "a", "b")
    leased = await do(store, "lease_due", NOON, of(*served), limit=9)
    assert sorted(pools_of(leased)) == found


async def test_the_pool_of_a_delivery_comes_back_and_ends_with_it(store):
    (way,) = await put(store, "a")
    (leased,) = await do(store, "lease_due", NOON, of("a"), limit=9)
    assert leased.delivery.pool == way.pool == "a"
    if not isinstance(store, MemoryStore):
        (row,) = await ask(store, "deliveries", QueueFilter(id=way.id), limit=9)
        assert row.delivery.pool == "a"
    outcome = Outcome(OutcomeKind.DELIVERED, 250, source="192.0.2.5")
    await do(store, "settle", [settled(leased, outcome=outcome, notice=NoticeKind.RETURN)])
    (notice,) = await ask(store, "notices_due", limit=9)
    assert notice.delivery.last_outcome == outcome


async def test_pools_share_what_is_leased_at_once(store):
    await put(store, *["a"] * 6, "b", "")
    leased = await do(store, "lease_due", NOON, of("", "a", "b"), limit=4)
    assert sorted(pools_of(leased)) == ["", "a", "a", "b"]
    rest = await do(store, "lease_due", NOON, of("", "a", "b"), limit=9)
    assert pools_of(rest) == ["a"] * 4


async def test_within_a_pool_the_oldest_goes_first(store):
    ways = await put(store, "a", "a", "a")
    leased = await do(store, "lease_due", NOON, of("a"), limit=2)
    assert [one.delivery.id for one in leased] == [ways[2].id, ways[1].id]


async def test_what_falls_due_is_told_by_pool(store):
    await put(store, "a", next_attempt_at=NOON + MINUTE)
    assert await ask(store, "next_due_at") is None
    assert await ask(store, "next_due_at", LANES, ("", "a")) == NOON + MINUTE
    assert await ask(store, "next_due_at", [OTP], ("", "a")) is None
    assert await ask(store, "next_due_at", [], ("", "a")) is None


async def test_leases_that_have_ended_are_taken_by_who_serves_the_pool(store):
    await put(store, "a", "")
    assert len(await do(store, "lease_due", NOON, of("", "a", minutes=1), limit=9)) == 2
    later, within = NOON + MINUTE, dict.fromkeys(LANES, 9)
    taken = await do(store, "lease_ended", later, of("b", worker="n/2/0"), limit=9, within=within)
    assert taken == []
    taken = await do(store, "lease_due", later, of("", worker="n/2/0"), limit=9)
    assert pools_of(taken) == [""]
    taken = await do(store, "lease_ended", later, of("a", worker="n/2/0"), limit=9, within=within)
    assert pools_of(taken) == ["a"]


async def test_what_a_dead_worker_held_falls_to_who_serves_its_pool(store):
    await put(store, "a", "b")
    assert len(await do(store, "lease_due", NOON, of("a", "b", worker="dead/0/1/"), limit=9)) == 2
    assert await do(store, "free_leases", "dead/") == 2
    assert pools_of(await do(store, "lease_due", NOON, of("", "b"), limit=9)) == ["b"]
    assert pools_of(await do(store, "lease_due", NOON, of("", "a"), limit=9)) == ["a"]


async def test_turns_are_taken_by_pool(store):
    await put(store, "a", "b", "", lane=BULK)
    account = submission().account

    async def walk(pool: str) -> tuple[Walked, Walked]:
        line = Line(BULK, pool)
        accounts = await ask(store, "due_accounts", line, NOON, after=None, limit=9, enough=9)
        destinations = await ask(
            store, "due_destinations", line, account, NOON, after=None, limit=9, enough=9
        )
        return accounts, destinations

    assert await walk("a") == (Walked((account,), None), Walked(("a.example",), None))
    assert await walk("") == (Walked((account,), None), Walked(("any.example",), None))
    assert await walk("c") == (Walked((), None), Walked((), None))
    turns = [Turn(Line(BULK, pool), account, 9) for pool in ("", "a", "c")]
    assert sorted(pools_of(await do(store, "lease_turns", NOON, of("", "a"), turns))) == ["", "a"]


async def test_pools_that_wait_are_named(store):
    assert await ask(store, "waiting_pools") == []
    await put(store, "b", "a", "", "b", lane=OTP)
    await put(store, "c", "a", lane=BULK)
    await put(store, "held", state=DeliveryState.HELD)
    assert await ask(store, "waiting_pools") == ["a", "b", "c"]


async def test_a_listing_by_pool_shows_what_is_not_finished(store):
    if isinstance(store, MemoryStore):  # has no listings
        return
    ways = await put(store, "a", "", "a")
    (leased, _) = await do(store, "lease_due", NOON, of("a"), limit=9)
    await do(store, "settle", [settled(leased)])

    async def listed(**which: Any) -> list[str]:
        rows = await ask(store, "deliveries", QueueFilter(**which), limit=9)
        return [row.delivery.id for row in rows]

    assert await listed(pool="a") == [ways[0].id]
    assert await listed(pool="") == [ways[1].id]
    assert await listed(pool="b") == []
    states = tuple(DeliveryState)
    assert await listed(pool="a", states=states) == [ways[0].id]
    assert await listed(pool="a", states=(DeliveryState.DELIVERED,)) == []
    assert (await ask(store, "matching", QueueFilter(pool="a"))).count == 1


async def test_what_waits_is_counted_by_pool_and_state(store):
    assert await ask(store, "pool_depth") == {}
    await put(store, "a", "", "b", "a")
    assert len(await do(store, "lease_due", NOON, of("b"), limit=9)) == 1
    await put(store, "a", state=DeliveryState.HELD)
    assert await ask(store, "pool_depth") == {
        "": {DeliveryState.DUE: 1},
        "a": {DeliveryState.DUE: 2, DeliveryState.HELD: 1},
        "b": {DeliveryState.LEASED: 1},
    }


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, False),
        ({"expires_at": NOON}, True),
        ({"expires_at": NOON, "next_attempt_at": NOON + MINUTE}, False),
        ({"expires_at": NOON, "state": DeliveryState.HELD}, False),
        ({"of": submission(received_at=NOON - 5 * MINUTE)}, True),
        ({"of": submission(received_at=NOON - 5 * MINUTE), "warned": True}, False),
        ({"of": submission(received_at=NOON - 5 * MINUTE, reverse_path="")}, False),
        ({"of": submission(received_at=NOON - 3 * MINUTE)}, False),
        ({"of": OLD, "wishes": RecipientWishes(Notify.FAILURE)}, False),
        ({"of": OLD, "wishes": RecipientWishes(Notify.FAILURE | Notify.DELAY)}, True),
        ({"of": replace(OLD, release_at=NOON - MINUTE)}, False),
    ],
)
async def test_strays_are_those_that_expire_or_whose_sender_should_know(store, changes, is_found):
    (way,) = await put(store, "a", **changes)
    await put(store, "b", expires_at=NOON)
    args = {"received_before": NOON - 4 * MINUTE, "limit": 9}
    assert await ask(store, "strays", "a", NOON, **args) == ([way.id] if is_found else [])


async def test_these_are_leased_whatever_their_pool_and_once(store):
    ways = [*await put(store, "a", "b"), *await put(store, "a", state=DeliveryState.HELD)]
    leased = await do(store, "lease_these", [way.id for way in ways], of(""))
    assert sorted(pools_of(leased)) == ["a", "b"]
    assert {one.fence for one in leased if not isinstance(store, MemoryStore)} <= {1}
    assert await do(store, "lease_these", [way.id for way in ways], of("")) == []
    ours = await do(store, "settle", [settled(one, outcome=ACCEPTED) for one in leased])
    assert ours == {way.id for way in ways[:2]}


async def test_an_attempt_that_was_not_made_is_taken_back(store):
    await put(store, "a", "a")
    first, second = await do(store, "lease_due", NOON, of("a"), limit=9)
    held = [Held(first.delivery.id, first.fence), Held(second.delivery.id, second.fence + 9)]
    await do(store, "begin_attempts", [Held(one.delivery.id, one.fence) for one in (first, second)])
    await do(store, "withdraw_attempts", held)
    await do(store, "withdraw_attempts", [*held[:1], *held[:1]])  # never below none
    await do(store, "free_leases", "node/")
    again = await do(store, "lease_due", NOON, of("a"), limit=9)
    counted = {one.delivery.id: one.delivery.attempts for one in again}
    assert counted == {first.delivery.id: 0, second.delivery.id: 1}


async def test_pauses_are_kept_one_for_an_address(store):
    assert await ask(store, "pauses") == []
    other = Pause("2001:db8::5", NOON, "ops")
    for each in (PAUSE, other, PAUSE):
        await do(store, "put_pause", each)
    assert await ask(store, "pauses") == [PAUSE, other]
    changed = Pause(PAUSE.address, NOON + MINUTE, "else", "")
    await do(store, "put_pause", changed)
    assert await do(store, "remove_pause", other.address) is True
    assert await do(store, "remove_pause", other.address) is False
    assert await ask(store, "pauses") == [changed]


async def test_a_worker_announces_its_sources(store):
    mail = Source("mail.example", "192.0.2.5", "2001:db8::5", ("default", "bulk"))
    other = Source("other.example", None, "2001:db8::6")
    announced = (Announced(mail, ("2001:db8::5",)), Announced(other))
    await do(store, "beat", replace(said(), sources=announced))
    (one,) = await ask(store, "presences")
    assert one.sources == announced
    await do(store, "beat", said())
    (one,) = await ask(store, "presences")
    assert one.sources == ()


async def test_an_account_keeps_its_pool(store):
    if isinstance(store, MemoryStore):  # has no accounts
        return
    account = Account(AccountName("a@example.com"), ("a@example.com",), NOON, pool="bulk")
    await do(store, "put_account", account)
    assert await ask(store, "account", account.name) == account


@pytest.mark.parametrize(
    ("count", "waiting", "shares"),
    [
        (0, {"a": 5}, {"a": 0}),
        (9, {}, {}),
        (9, {"a": 5}, {"a": 5}),
        (4, {"a": 9, "b": 9}, {"a": 2, "b": 2}),
        (5, {"a": 9, "b": 9}, {"a": 3, "b": 2}),
        (9, {"a": 9, "b": 1}, {"a": 8, "b": 1}),
        (9, {"a": 9, "b": 0, "c": 2}, {"a": 7, "b": 0, "c": 2}),
        (2, {"a": 9, "b": 9, "c": 9}, {"a": 1, "b": 1, "c": 0}),
    ],
)
def test_what_one_does_not_need_goes_to_the_others(count, waiting, shares) -> None:
    assert shared_out(count, waiting) == shares


def test_lanes_come_before_pools() -> None:
    room = {OTP: 9, TRANSACTIONAL: 9, BULK: 1}
    shares = dealt(9, [1, 0, 0, 4, 5, 5], room, ("", "a"))
    assert shares == [
        Share(OTP, "", 1), Share(TRANSACTIONAL, "a", 4), Share(Lane.BULK, "", 1),
    ]  # fmt: skip
    assert dealt(9, [0] * 6, room, ("", "a")) == []
