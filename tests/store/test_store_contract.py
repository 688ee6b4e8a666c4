"""What every Store promises. A new kind of store is tested by being added to OPENERS."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.delivery import ASKED_FOR, DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, CredentialId, SubmissionId
from gatepost.model.secret import Secret
from gatepost.store import queries
from gatepost.store.leases import Held
from gatepost.store.notices import NoticeKind
from gatepost.store.protocols import Store
from gatepost.store.queue_view import Matching, QueueFilter
from gatepost.store.verify import verify
from tests.store.makers import (
    ACCEPTED,
    CONTENT,
    LATER,
    NOON,
    REFUSED,
    delivery,
    event,
    held,
    lease,
    new_id,
    settled,
    submission,
)
from tests.store.openers import OPENERS, Opener

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
def opener(request: pytest.FixtureRequest) -> Opener:
    return request.param


@pytest.fixture
async def store(opener: Opener, tmp_path: Path):
    opened = await opener(tmp_path)
    yield opened
    await opened.close()


async def put(store: Store, *recipients: str, lease=None, content=CONTENT, of=None, **changes):
    message = of or submission()
    ways = [delivery(message, name, **changes) for name in recipients or ("bob@y.example",)]

    def job(transaction):
        return transaction.add_deliveries(message, ways, lease)

    leased = await store.write(job, (message.id, (content,)))
    return message, ways, leased


async def do(store: Store, name: str, *arguments, **more):
    return await store.write(lambda transaction: getattr(transaction, name)(*arguments, **more))


async def ask(store: Store, name: str, *arguments, **more):
    return await store.read(lambda reading: getattr(reading, name)(*arguments, **more))


async def take(store: Store, at=NOON, minutes: int = 2, limit: int = 10, worker="node/1/0"):
    return await do(store, "lease_due", at, lease(worker, minutes), limit=limit)


async def one(store: Store, delivery_id: str):
    (row,) = await ask(store, "deliveries", QueueFilter(id=delivery_id), limit=9)
    return row.delivery


# -- accepting


async def test_what_was_accepted_comes_back_as_it_was(store):
    message, (way,), leased = await put(store)
    assert leased == []
    assert await ask(store, "submission", message.id) == message
    (row,) = await ask(store, "deliveries", QueueFilter(), limit=9)
    assert (row.delivery, row.submission) == (way, message)
    assert await ask(store, "content", message.id) == CONTENT


async def test_content_is_its_pieces_in_order(store):
    message = submission()
    pieces = (b"", b"A" * 10_000, b"", b"B" * 300_000, b"C")
    job = lambda transaction: transaction.add_deliveries(message, [delivery(message)])  # noqa: E731
    await store.write(job, (message.id, pieces))
    assert await ask(store, "content", message.id) == b"".join(pieces)


async def test_empty_content_is_no_missing_content(store):
    message, _, _ = await put(store, content=b"")
    assert await ask(store, "content", message.id) == b""


async def test_accepting_with_a_lease_hands_over_what_is_due(store):
    message = submission()
    due, kept = delivery(message), delivery(message, state=DeliveryState.HELD)
    job = lambda transaction: transaction.add_deliveries(message, [due, kept], lease())  # noqa: E731
    (leased,) = await store.write(job, (message.id, (CONTENT,)))
    assert leased.delivery == replace(due, state=DeliveryState.LEASED, leases=1)
    assert leased.submission == message
    assert await one(store, due.id) == leased.delivery
    assert await one(store, kept.id) == kept
    assert await take(store) == []
    assert await do(store, "begin_attempts", [held(leased)]) == {due.id}


async def test_accepting_twice_changes_nothing(store):
    message, (way,), _ = await put(store)
    for _ in range(2):
        again = delivery(message, "other@y.example")
        job = lambda t, again=again: t.add_deliveries(message, [again], lease())  # noqa: E731
        assert await store.write(job, (message.id, (b"other",))) == []
    assert await do(store, "add_deliveries", message, [delivery(message)]) == []
    assert await ask(store, "content", message.id) == CONTENT
    assert [row.delivery for row in await ask(store, "deliveries", QueueFilter(), limit=9)] == [way]
    assert await verify(store) == []


async def test_accepting_twice_at_once_takes_one(store):
    message = submission()

    def job(transaction):
        return transaction.add_deliveries(message, [delivery(message)], lease())

    calls = [store.write(job, (message.id, (CONTENT,))) for _ in range(5)]
    assert sorted(len(leased) for leased in await asyncio.gather(*calls)) == [0, 0, 0, 0, 1]
    assert await ask(store, "content", message.id) == CONTENT
    assert await verify(store) == []


# -- leases


async def test_leases_are_exclusive(store):
    await put(store, *(f"{n}@y.example" for n in range(6)))
    first, second = await asyncio.gather(take(store, limit=4), take(store, limit=4))
    ids = [leased.delivery.id for leased in first + second]
    assert len(ids) == len(set(ids)) == 6
    assert await take(store) == []


async def test_oldest_due_first_and_nothing_before_its_time(store):
    for minutes in (-1, -2, 1):
        await put(store, f"{minutes}@y.example", next_attempt_at=NOON + minutes * MINUTE)
    found = await take(store)
    assert [leased.delivery.forward_path for leased in found] == ["-2@y.example", "-1@y.example"]


async def test_a_lease_that_ended_is_leased_again_and_counted(store):
    await put(store)
    (first,) = await take(store, minutes=2)
    assert await take(store, at=NOON + MINUTE) == []
    (second,) = await take(store, at=NOON + 2 * MINUTE, minutes=5, worker="node/2/0")
    assert (second.delivery.leases, second.delivery.attempts) == (2, 0)
    assert second.fence != first.fence
    assert await do(store, "begin_attempts", [held(first)]) == set()
    assert await do(store, "renew", [held(first)], NOON + 9 * MINUTE) == set()
    assert await do(store, "settle", [settled(first)]) == set()
    assert await do(store, "settle", [settled(second)]) == {second.delivery.id}


async def test_renewing_prolongs(store):
    await put(store)
    (leased,) = await take(store, minutes=2)
    assert await do(store, "renew", [held(leased)], NOON + 10 * MINUTE) == {leased.delivery.id}
    assert await take(store, at=NOON + 9 * MINUTE) == []
    assert len(await take(store, at=NOON + 10 * MINUTE)) == 1


async def test_attempts_are_counted_for_what_is_held_only(store):
    await put(store, "a@y.example", "b@y.example")
    first, second = await take(store)
    lost = Held(second.delivery.id, second.fence + 1)
    assert await do(store, "begin_attempts", [held(first), lost]) == {first.delivery.id}
    assert (await one(store, first.delivery.id)).attempts == 1
    assert (await one(store, second.delivery.id)).attempts == 0


async def test_giving_back_is_no_attempt(store):
    _, (way,), _ = await put(store)
    (leased,) = await take(store)
    at = NOON + 3 * MINUTE
    await do(store, "give_back", [held(leased)], at, "waits for its turn")
    found = await one(store, way.id)
    assert found == replace(
        way, leases=1, next_attempt_at=at, reason="waits for its turn", state=DeliveryState.DUE
    )
    assert await ask(store, "next_due_at") == at


async def test_what_waits_longer_than_it_should_is_hastened(store):
    tried, soon, kept = [(await put(store))[1][0].id for _ in range(3)]
    until = {tried: NOON + 9000 * MINUTE, soon: NOON + 60 * MINUTE, kept: NOON + 9000 * MINUTE}
    for leased in await take(store):
        if leased.delivery.id != kept:
            await do(store, "begin_attempts", [held(leased)])
        await do(store, "give_back", [held(leased)], until[leased.delivery.id], "waits")
    assert await do(store, "hasten", NOON + 300 * MINUTE, NOON) == 1
    waits = {name: (await one(store, name)).next_attempt_at for name in until}
    assert waits == until | {tried: NOON}
    assert [each.delivery.id for each in await take(store)] == [tried]


async def test_leases_of_a_dead_worker_are_freed(store):
    await put(store, "a@y.example", "b@y.example")
    await take(store, limit=1, worker="node/1/0")
    await take(store, limit=1, worker="node/1/7")
    assert await do(store, "free_leases", "node/1/7") == 1
    (found,) = await take(store)
    assert found.delivery.leases == 2


async def test_next_due_is_the_first_of_queue_and_leases(store):
    assert await ask(store, "next_due_at") is None
    await put(store, next_attempt_at=NOON + 5 * MINUTE)
    assert await ask(store, "next_due_at") == NOON + 5 * MINUTE
    await put(store)
    assert await ask(store, "next_due_at") == NOON
    await take(store, minutes=3)
    assert await ask(store, "next_due_at") == NOON + 3 * MINUTE


# -- settling


async def test_deferred_is_due_again_with_its_outcome(store):
    message, (way,), (leased,) = await put(store, lease=lease())
    await do(store, "begin_attempts", [held(leased)])
    at = NOON + 5 * MINUTE
    deferred = event(EventKind.DEFERRED, message, text="later")
    settlement = settled(
        leased,
        DeliveryState.DUE,
        LATER,
        next_attempt_at=at,
        reason="451 later",
        events=(deferred,),
    )
    assert await do(store, "settle", [settlement]) == {way.id}
    assert await one(store, way.id) == replace(
        way, attempts=1, leases=1, next_attempt_at=at, last_outcome=LATER, reason="451 later"
    )
    assert [stored.event for stored in await ask(store, "events")] == [deferred]
    assert await ask(store, "content", message.id) == CONTENT
    assert await take(store) == []
    (again,) = await take(store, at=at, minutes=9)
    assert again.delivery.leases == 2


async def test_content_goes_with_the_last_delivery(store):
    message, _, (first, second) = await put(store, "a@y.example", "b@y.example", lease=lease())
    await do(store, "settle", [settled(first)])
    assert await ask(store, "content", message.id) == CONTENT
    await do(store, "settle", [settled(second, DeliveryState.CANCELLED, None)])
    assert await ask(store, "content", message.id) is None
    assert await ask(store, "submission", message.id) == message
    assert await verify(store) == []


async def test_all_recipients_settled_by_neighbours_let_content_go(store):
    message, _, leased = await put(store, *(f"{n}@y.example" for n in range(9)), lease=lease())
    await asyncio.gather(*(do(store, "settle", [settled(one)]) for one in leased))
    assert await ask(store, "content", message.id) is None
    assert await verify(store) == []


async def test_captured_content_is_kept_for_a_while(store):
    message, (way,), (leased,) = await put(store, lease=lease())
    await do(store, "settle", [settled(leased, DeliveryState.CAPTURED)])
    assert await ask(store, "content", message.id) == CONTENT
    assert (await ask(store, "queue_depth"))[DeliveryState.CAPTURED] == 1
    states = (DeliveryState.CAPTURED,)
    (row,) = await ask(store, "deliveries", QueueFilter(states=states), limit=9)
    assert row.delivery.id == way.id
    await store.tidy(NOON + timedelta(days=6))
    assert await ask(store, "content", message.id) == CONTENT
    await store.tidy(NOON + timedelta(days=7))
    assert await ask(store, "content", message.id) is None
    assert await verify(store) == []


async def test_a_lost_lease_changes_nothing_and_tells_nothing(store):
    _, (way,), (leased,) = await put(store, lease=lease())
    lost = settled(leased, events=(event(),))
    lost = replace(lost, held=replace(lost.held, fence=7), notice=NoticeKind.RETURN)
    assert await do(store, "settle", [lost]) == set()
    assert (await one(store, way.id)).state is DeliveryState.LEASED
    assert await ask(store, "events") == []
    assert await ask(store, "notices_due", limit=9) == []


async def test_settling_twice_in_one_batch_counts_once(store):
    _, (way,), (leased,) = await put(store, lease=lease())
    twice = [do(store, "settle", [settled(leased, events=(event(),))]) for _ in range(2)]
    assert sorted(map(len, await asyncio.gather(*twice))) == [0, 1]
    assert len(await ask(store, "events")) == 1
    assert (await one(store, way.id)).state is DeliveryState.DELIVERED


async def test_an_outcome_without_words_keeps_the_last_one(store):
    _, (way,), (leased,) = await put(store, lease=lease())
    await do(store, "settle", [settled(leased, DeliveryState.DUE, LATER, next_attempt_at=NOON)])
    (leased,) = await take(store)
    await do(store, "settle", [settled(leased, DeliveryState.EXPIRED, None)])
    found = await one(store, way.id)
    assert (found.state, found.last_outcome) == (DeliveryState.EXPIRED, LATER)


# -- notices


async def test_a_return_is_owed_until_it_is_struck_and_content_waits_for_it(store):
    message, (way,), (leased,) = await put(store, lease=lease())
    await do(
        store, "settle", [settled(leased, DeliveryState.REFUSED, REFUSED, notice=NoticeKind.RETURN)]
    )
    (notice,) = await ask(store, "notices_due", limit=9)
    assert (notice.delivery.id, notice.submission, notice.kind) == (
        way.id,
        message,
        NoticeKind.RETURN,
    )
    assert notice.delivery.last_outcome == REFUSED
    assert await ask(store, "content", message.id) == CONTENT
    assert await verify(store) == []
    assert not await do(store, "clear_notice", way.id, NoticeKind.WARNING)
    assert len(await ask(store, "notices_due", limit=9)) == 1
    assert await do(store, "clear_notice", way.id, NoticeKind.RETURN)
    assert not await do(store, "clear_notice", way.id, NoticeKind.RETURN)
    assert await ask(store, "notices_due", limit=9) == []
    assert await ask(store, "content", message.id) is None
    assert await verify(store) == []


async def test_a_warning_marks_the_delivery_and_keeps_it_in_the_queue(store):
    message, (way,), (leased,) = await put(store, lease=lease())
    later = settled(
        leased, DeliveryState.DUE, LATER, next_attempt_at=NOON, notice=NoticeKind.WARNING
    )
    await do(store, "settle", [later])
    (notice,) = await ask(store, "notices_due", limit=9)
    assert notice.kind is NoticeKind.WARNING
    assert notice.delivery.warned
    await do(store, "clear_notice", way.id, NoticeKind.WARNING)
    assert (await one(store, way.id)).warned
    assert await ask(store, "content", message.id) == CONTENT


async def owe(store, count: int) -> list[SubmissionId]:
    """Refuse messages, and owe a return for each."""
    ids = []
    for _ in range(count):
        message, _, (leased,) = await put(store, lease=lease())
        refused = settled(leased, DeliveryState.REFUSED, REFUSED, notice=NoticeKind.RETURN)
        await do(store, "settle", [refused])
        ids.append(message.id)
    return ids


async def test_reports_that_are_owed_are_paged_through(store):
    owed = await owe(store, 5)
    first = await ask(store, "notices_due", limit=2)
    second = await ask(store, "notices_due", limit=2, after=first[-1])
    last = await ask(store, "notices_due", limit=2, after=second[-1])
    assert [n.submission.id for n in (*first, *second, *last)] == owed
    assert len(last) == 1
    assert await ask(store, "notices_due", limit=2, after=last[-1]) == []


async def test_a_day_is_kept_while_a_return_tells_of_it(store):
    (owed,) = await owe(store, 1)
    await store.tidy(NOON + timedelta(days=100))
    (notice,) = await ask(store, "notices_due", limit=9)
    assert notice.submission.id == owed
    await do(store, "clear_notice", notice.delivery.id, NoticeKind.RETURN)
    await store.tidy(NOON + timedelta(days=100))
    assert await ask(store, "submission", owed) is None
    assert await verify(store) == []


async def test_returns_for_what_nobody_knows_keep_none_back_and_go(store):
    lost = await owe(store, 4)
    (day,) = await store.inspect(lambda reading: reading.days("delivery"))
    await store.write(lambda t: t.execute(f"DELETE FROM {day}"))
    (known,) = await owe(store, 1)
    assert [n.submission.id for n in await ask(store, "notices_due", limit=2)] == [known]
    assert len(await verify(store)) == 4
    await store.tidy(NOON + timedelta(days=100))
    assert [n.submission.id for n in await ask(store, "notices_due", limit=9)] == [known]
    assert [await ask(store, "submission", each) for each in lost] == [None] * 4
    assert [await ask(store, "content", each) for each in lost] == [None] * 4
    events = [stored.event for stored in await ask(store, "events")]
    assert [e.submission_id for e in events if e.kind is EventKind.RETURN_DROPPED] == lost
    assert await verify(store) == []


# -- operator verbs


_WAITING = (DeliveryState.DUE, DeliveryState.LEASED)
_OPEN = (*_WAITING, DeliveryState.HELD)


async def test_hold_release_and_what_a_worker_held_is_lost(store):
    _, (way,), (leased,) = await put(store, lease=lease())
    hold = ("change_queue", [way.id], _WAITING, DeliveryState.HELD, NOON)
    assert await do(store, *hold) == [way.id]
    later = settled(leased, DeliveryState.DUE, LATER, next_attempt_at=NOON)
    assert await do(store, "settle", [later]) == set()
    assert await take(store, at=NOON + 9 * MINUTE) == []
    assert await do(store, *hold) == []
    ended = NOON + 3 * MINUTE
    release = ("change_queue", [way.id], [DeliveryState.HELD], DeliveryState.DUE, ended)
    assert await do(store, *release) == [way.id]
    (again,) = await take(store, at=ended + MINUTE, minutes=9)
    assert (again.fence != leased.fence, again.delivery.reason) == (True, ASKED_FOR)
    assert await verify(store) == []


async def test_retry_makes_due_now_and_leaves_leased_alone(store):
    at = NOON + 60 * MINUTE
    _, (way,), _ = await put(store, next_attempt_at=at)
    _, (other,), _ = await put(store, lease=lease())
    both = [other.id, way.id]
    assert await do(store, "change_queue", both, [DeliveryState.DUE], DeliveryState.DUE, NOON) == [
        way.id
    ]
    retried = await one(store, way.id)
    assert (retried.next_attempt_at, retried.reason) == (NOON, ASKED_FOR)
    (again,) = await take(store, at=NOON)
    assert again.delivery.reason == ASKED_FOR  # whoever has it can tell
    assert await do(
        store, "settle", [settled(again, DeliveryState.DUE, LATER, next_attempt_at=NOON)]
    )
    assert (await one(store, way.id)).reason != ASKED_FOR


async def test_cancel_is_final_and_lets_content_go(store):
    message, (way,), _ = await put(store)
    cancel = ("change_queue", [way.id], _OPEN, DeliveryState.CANCELLED, NOON)
    assert await do(store, *cancel) == [way.id]
    assert (await one(store, way.id)).state is DeliveryState.CANCELLED
    assert await ask(store, "content", message.id) is None
    assert await do(store, *cancel) == []


async def test_many_are_changed_at_once_in_order(store):
    ways = [way for _ in range(7) for way in (await put(store))[1]]
    ids = [way.id for way in ways]
    await do(store, "change_queue", ids[:2], _OPEN, DeliveryState.CANCELLED, NOON)
    held = await do(store, "change_queue", ids[::-1], _WAITING, DeliveryState.HELD, NOON)
    assert held == ids[2:]
    assert await do(store, "change_queue", [], _WAITING, DeliveryState.HELD, NOON) == []
    assert await verify(store) == []


async def test_what_matches_is_counted_as_far_as_it_waits(store):
    assert await ask(store, "matching", QueueFilter()) == Matching(0, None)
    ways = [way for n in range(4) for way in (await put(store, f"a@{n % 2}.example"))[1]]
    await do(store, "change_queue", [ways[3].id], _OPEN, DeliveryState.CANCELLED, NOON)
    odd = QueueFilter(destination="1.example")
    assert await ask(store, "matching", odd) == Matching(1, ways[1].id)
    own = QueueFilter(account=ACCOUNT.name)
    assert await ask(store, "matching", own) == Matching(3, ways[2].id)
    assert await ask(store, "matching", replace(own, states=(DeliveryState.HELD,))) == Matching(
        0, None
    )


async def test_what_matches_the_beginning_of_an_id_is_of_one_message_or_not(store):
    message, ways, _ = await put(store, "a@1.example", "b@1.example")
    other, *_ = await put(store)
    for text in (message.id, ways[1].id, message.id[:-1]):
        assert (await ask(store, "matching", QueueFilter(id=text))).is_of_one, text
    assert not (await ask(store, "matching", QueueFilter(id=other.id[:8]))).is_of_one
    few = QueueFilter(id=other.id[:8], destination="1.example")
    assert await ask(store, "matching", few) == Matching(2, ways[1].id)
    assert (await ask(store, "matching", QueueFilter(id="00000000"))) == Matching(0, None)


async def test_a_stretch_ends_where_enough_was_found_or_looked_at(store, monkeypatch):
    ways = [way for n in range(9) for way in (await put(store, f"a@{n % 3}.example"))[1]]
    which = QueueFilter(destination="0.example", states=_WAITING)
    whole = {"after": None, "until": ways[7].id}
    found = await ask(store, "stretch", which, limit=9, **whole)
    assert ([row.delivery.id for row in found.rows], found.last) == (
        [ways[n].id for n in (0, 3, 6)],
        None,
    )
    found = await ask(store, "stretch", which, limit=2, **whole)
    assert ([row.delivery.id for row in found.rows], found.last) == (
        [ways[0].id, ways[3].id],
        ways[3].id,
    )
    monkeypatch.setattr(queries, "_LOOKED_AT", 5)
    found = await ask(store, "stretch", which, limit=9, **whole)
    assert ([row.delivery.id for row in found.rows], found.last) == (
        [ways[0].id, ways[3].id],
        ways[4].id,
    )
    rest = await ask(store, "stretch", which, limit=9, after=found.last, until=ways[7].id)
    assert ([row.delivery.id for row in rest.rows], rest.last) == ([ways[6].id], None)


@pytest.mark.parametrize(
    ("which", "found"),
    [
        (QueueFilter(), {"a@x.example", "b@y.example", "c@y.example"}),
        (QueueFilter(destination="Y.example"), {"b@y.example", "c@y.example"}),
        (QueueFilter(recipient="b@y.example"), {"b@y.example"}),
        (QueueFilter(account=AccountName("other")), {"c@y.example"}),
        (QueueFilter(account=AccountName("nobody")), set()),
        (QueueFilter(states=(DeliveryState.HELD,)), {"a@x.example"}),
        (QueueFilter(states=(DeliveryState.HELD, DeliveryState.DELIVERED)), {"a@x.example", "d@y.example"}),
        (QueueFilter(states=()), set()),
    ],
)  # fmt: skip
async def test_a_listing_shows_what_the_filter_means(store, which, found):
    await put(store, "a@x.example", state=DeliveryState.HELD)
    await put(store, "b@y.example")
    await put(store, "c@y.example", of=submission(account=AccountName("other")))
    _, _, (done,) = await put(store, "d@y.example", lease=lease())
    await do(store, "settle", [settled(done)])
    rows = await ask(store, "deliveries", which, limit=9)
    assert {row.delivery.forward_path for row in rows} == found


async def test_a_listing_pages_in_order_of_ids_over_finished_and_waiting(store):
    ways = []
    for n in range(6):
        _, (way,), leased = await put(store, lease=lease() if n % 2 else None)
        ways.append(way.id)
        await do(store, "settle", [settled(one) for one in leased])
    which = QueueFilter(states=tuple(DeliveryState))
    seen, after = [], None
    while rows := await ask(store, "deliveries", which, limit=4, after=after):
        seen += [row.delivery.id for row in rows]
        after = seen[-1]
    assert seen == ways


async def test_an_id_or_its_beginning_finds_message_and_delivery_finished_or_not(store):
    message, (first, second), (leased, _) = await put(
        store, "a@y.example", "b@y.example", lease=lease()
    )
    await do(store, "settle", [settled(leased)])
    for name, found in [
        (message.id, [first.id, second.id]),
        (message.id[:31], [first.id, second.id]),
        (first.id, [first.id]),
        (second.id, [second.id]),
        (first.id[:7], []),
        ("ffffffff", []),
    ]:
        rows = await ask(store, "deliveries", QueueFilter(id=name), limit=9)
        assert [row.delivery.id for row in rows] == found


async def test_depth_counts_what_is_not_finished(store):
    await put(store, "a@y.example", "b@y.example", state=DeliveryState.HELD)
    await put(store)
    await put(store, lease=lease())
    assert await ask(store, "queue_depth") == {
        DeliveryState.DUE: 1,
        DeliveryState.LEASED: 1,
        DeliveryState.HELD: 2,
        DeliveryState.CAPTURED: 0,
    }


async def test_messages_are_found_by_id_message_id_and_recipient_newest_first(store):
    old, _, (leased,) = await put(store, "Bob@y.example", lease=lease())
    await do(store, "settle", [settled(leased)])
    new, _, _ = await put(store, "bob@y.example", of=submission(message_id="<2@example.com>"))
    assert await ask(store, "find_submissions", "bob@y.example") == [new.id, old.id]
    assert await ask(store, "find_submissions", "bob@y.example", limit=1) == [new.id]
    assert await ask(store, "find_submissions", "<2@example.com>") == [new.id]
    assert await ask(store, "find_submissions", old.id) == [old.id]
    assert await ask(store, "find_submissions", new.id[:10]) == [new.id, old.id]
    assert await ask(store, "find_submissions", "nobody@y.example") == []


# -- accounts, events, positions

ACCOUNT = Account(AccountName("app@example.com"), ("app@example.com", "@b.example"), NOON)
CREDENTIAL = Credential(
    CredentialId("c1"), ACCOUNT.name, CredentialKind.PASSWORD, Secret("$argon2id$x"), NOON, "main"
)


async def test_accounts_and_credentials_come_back_are_replaced_and_removed(store):
    await do(store, "put_account", ACCOUNT)
    await do(store, "put_credential", CREDENTIAL)
    assert await ask(store, "account", ACCOUNT.name) == ACCOUNT
    assert await ask(store, "credentials", ACCOUNT.name) == [CREDENTIAL]
    changed = replace(ACCOUNT, state=AccountState.SUSPENDED, exposed_at=NOON)
    used = replace(CREDENTIAL, last_used_at=NOON, last_mechanism="PLAIN", last_tls="TLSv1.3")
    await do(store, "put_account", changed)
    await do(store, "put_credential", used)
    assert await ask(store, "accounts") == [changed]
    assert await ask(store, "credentials", ACCOUNT.name) == [used]
    assert await do(store, "remove_credential", CREDENTIAL.id)
    assert not await do(store, "remove_credential", CREDENTIAL.id)
    await do(store, "put_credential", CREDENTIAL)
    assert await do(store, "remove_account", ACCOUNT.name)
    assert not await do(store, "remove_account", ACCOUNT.name)
    assert await ask(store, "credentials", ACCOUNT.name) == []


async def test_accounts_whose_passwords_have_no_scram_keys_are_known(store):
    kinds = CredentialKind
    for name, kind, only in (
        ("imported@b.example", kinds.PASSWORD, False),
        ("apps@b.example", kinds.PASSWORD, True),
        ("certified@b.example", kinds.CERTIFICATE, False),
        ("app@b.example", kinds.APP_PASSWORD, True),
    ):
        account = replace(ACCOUNT, name=AccountName(name), app_passwords_only=only)
        await do(store, "put_account", account)
        one = replace(CREDENTIAL, id=CredentialId(name), account=account.name, kind=kind)
        await do(store, "put_credential", one)
    assert await ask(store, "keyless_accounts") == ["app@b.example", "imported@b.example"]


async def test_event_positions_rise_over_days_and_never_come_again(store):
    days = [NOON + timedelta(days=n) for n in (0, 2, 1)]
    told = [replace(event(text=str(at), code=250, ok=True, ratio=0.5), at=at) for at in days]
    await do(store, "add_events", told)
    stored = await ask(store, "events")
    assert [one.event for one in stored] == told
    positions = [one.position for one in stored]
    assert positions == sorted(set(positions))
    assert await ask(store, "events", after=positions[0], limit=1) == [stored[1]]
    await store.tidy(NOON + timedelta(days=90))
    assert await ask(store, "events") == []
    await do(store, "add_events", [event()])
    assert (await ask(store, "events"))[0].position > positions[-1]


async def test_events_of_one_message(store):
    message = submission()
    mine = event(EventKind.ACCEPTED, message)
    await do(store, "add_events", [event(), mine, event(of=submission())])
    found = await ask(store, "events", submission_id=message.id)
    assert [stored.event for stored in found] == [mine]


async def test_a_readers_position_is_remembered(store):
    assert await ask(store, "position", "journal") == 0
    await do(store, "set_position", "journal", 7)
    await do(store, "set_position", "journal", 9)
    assert await ask(store, "position", "journal") == 9


async def test_one_goes_on_for_a_reader_at_a_time(store):
    soon, late = NOON + MINUTE, NOON + 5 * MINUTE
    first = await do(store, "claim_reader", "journal", 0, NOON, soon)
    assert first
    assert await do(store, "claim_reader", "journal", 0, NOON, soon) == 0
    assert await do(store, "claim_reader", "other", 0, NOON, soon)
    second = await do(store, "advance_reader", "journal", 9, first, late)
    assert second
    assert await do(store, "advance_reader", "journal", 99, first, late) == 0
    assert await do(store, "advance_reader", "journal", 7, second, late) == second
    assert await ask(store, "position", "journal") == 9
    assert await do(store, "claim_reader", "journal", 0, soon, late) == 0
    third = await do(store, "claim_reader", "journal", 0, late, late + MINUTE)
    assert third
    assert await do(store, "advance_reader", "journal", 99, second, late) == 0
    assert await do(store, "claim_reader", "journal", third, late, late + 2 * MINUTE)


async def test_ended_leases_are_left_alone_where_that_is_asked(store):
    _, _, (leased,) = await put(store, lease=lease())
    (due,) = (await put(store))[1]
    later = NOON + 60 * MINUTE
    found = await do(store, "lease_due", later, lease(minutes=90), limit=9, ended=False)
    assert [one.delivery.id for one in found] == [due.id]
    found = await do(store, "lease_due", later, lease(minutes=90), limit=9)
    assert [one.delivery.id for one in found] == [leased.delivery.id]


# -- jobs


async def test_a_job_sees_what_it_wrote(store):
    message = submission()

    def job(transaction):
        transaction.add_deliveries(message, [delivery(message)])
        transaction.add_events([event(of=message)])
        (leased,) = transaction.lease_due(NOON, lease(), limit=9)
        transaction.settle([settled(leased)])
        (row,) = transaction.deliveries(QueueFilter(id=message.id), limit=9)
        return row.delivery.state, len(transaction.events()), transaction.content(message.id)

    found = await store.write(job, (message.id, (CONTENT,)))
    assert found == (DeliveryState.DELIVERED, 1, None)


async def test_a_bad_job_fails_alone_and_leaves_nothing(store):
    def bad(transaction):
        message = submission()
        transaction.add_deliveries(message, [delivery(message)])
        transaction.flush() if hasattr(transaction, "flush") else None
        raise LookupError("mine")

    good = [put(store) for _ in range(5)]
    results = await asyncio.gather(
        *good[:3], store.write(bad), *good[3:], store.write(bad), return_exceptions=True
    )
    assert [type(result).__name__ for result in results] == ["tuple"] * 3 + [
        "LookupError", "tuple", "tuple", "LookupError",
    ]  # fmt: skip
    assert len(await ask(store, "deliveries", QueueFilter(), limit=99)) == 5
    assert await verify(store) == []


async def test_what_one_wrote_another_reads_and_hears_of(store, opener, tmp_path):
    other = await opener(tmp_path)
    before = await store.data_version()
    await put(store)
    assert await store.data_version() == before
    message, _, _ = await put(other)
    async with asyncio.timeout(30):
        while await store.data_version() == before:
            await asyncio.sleep(0.01)
    assert await ask(store, "content", message.id) == CONTENT
    await other.close()


async def test_closing_finishes_what_was_given(opener, tmp_path):
    store = await opener(tmp_path)
    calls = [asyncio.ensure_future(put(store)) for _ in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*calls)
    store = await opener(tmp_path)
    assert len(await ask(store, "deliveries", QueueFilter(), limit=99)) == 20
    await store.close()


async def test_retention_forgets_finished_messages_and_keeps_open_ones(store):
    done, _, (leased,) = await put(store, lease=lease())
    open_, _, _ = await put(store)
    await do(store, "settle", [settled(leased, outcome=ACCEPTED)])
    await store.tidy(NOON + timedelta(days=30))
    assert await ask(store, "submission", done.id) == done
    await store.tidy(NOON + timedelta(days=32))
    assert await ask(store, "submission", done.id) is None
    assert await ask(store, "deliveries", QueueFilter(id=done.id), limit=9) == []
    assert await ask(store, "submission", open_.id) == open_
    assert await ask(store, "content", open_.id) == CONTENT
    assert await verify(store) == []


async def test_there_is_room(store):
    assert await store.free_space() > 0


async def test_it_gets_on(store):
    for _ in range(3):
        assert store.gets_on()
        await put(store)


async def test_times_are_kept_to_the_microsecond(store):
    at = NOON.replace(microsecond=999_999, year=2199)
    _, (way,), _ = await put(store, next_attempt_at=at, expires_at=at)
    assert await one(store, way.id) == way
    assert new_id() != new_id()
