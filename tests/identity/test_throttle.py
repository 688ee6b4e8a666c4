"""Guessing is slowed for all workers together (decision 20)."""

from datetime import UTC, datetime, timedelta

import pytest

from gatepost.identity.guessing import Record
from gatepost.identity.throttle import (
    ADDRESS_LIMIT,
    NETWORK_LIMIT,
    PAIR_LIMIT,
    Throttle,
    _matters,
    forgiven,
    subjects,
    subjects_of,
)
from gatepost.identity.verdict import Cause, Consequence
from gatepost.model.ids import AccountName
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.protocols import StoreUnavailableError
from gatepost.wire.sasl.exchange import CheckPassword, Granted
from tests.identity.people import HERE, NAME, NOON, PASSWORD, People, account, main

NOBODY = AccountName("nobody@example.com")


def neighbour(people: People) -> Throttle:
    """Return another worker's throttle over the same store."""
    return Throttle(people.store, clock=people.seconds)


@pytest.mark.parametrize("name", [NAME, NOBODY])
async def test_the_fifth_failure_locks_the_pair_whether_there_is_such_an_account_or_not(
    people: People, name: AccountName
) -> None:
    await people.put(account(), main())
    causes = [await people.cause(name, f"wrong{n}") for n in range(PAIR_LIMIT + 1)]
    assert Cause.LOCKED_PAIR not in causes[:PAIR_LIMIT]
    assert causes[PAIR_LIMIT] is Cause.LOCKED_PAIR
    assert causes[PAIR_LIMIT].consequence is Consequence.LOCKED_PAIR
    assert len(people.asked) == PAIR_LIMIT


async def test_a_right_login_from_elsewhere_is_not_affected(people: People) -> None:
    await people.put(account(), main())
    for n in range(PAIR_LIMIT):
        await people.cause(NAME, f"wrong{n}")
    assert await people.cause(NAME, PASSWORD) is Cause.LOCKED_PAIR
    assert await people.cause(NAME, PASSWORD, "198.51.100.1") is None
    assert (await people.scram(NAME, PASSWORD))[0].cause is Cause.LOCKED_PAIR
    people.later(seconds=60)
    assert await people.cause(NAME, PASSWORD) is None


async def test_an_address_is_locked_after_failures_of_many_accounts(people: People) -> None:
    for n in range(ADDRESS_LIMIT):
        await people.cause(f"user{n}@example.com", "wrong")
    attempt = people.begin()
    cause = attempt.may_begin()
    assert cause is Cause.LOCKED_ADDRESS
    assert cause.consequence is Consequence.LOCKED_OUT
    assert "until 2026-11-23 12:01:00 UTC" in attempt.verdict.reason
    assert people.begin(client="192.0.2.8").may_begin() is None


@pytest.mark.parametrize(
    ("address", "inside", "outside"),
    [
        ("192.0.2.{}", "192.0.2.250", "192.0.3.1"),
        ("2001:db8:0:{}::7", "2001:db8:0:ff::1", "2001:db8:1::1"),
    ],
)
async def test_a_network_is_locked_after_failures_of_many_clients(
    people: People, address: str, inside: str, outside: str
) -> None:
    for n in range(NETWORK_LIMIT):
        await people.cause(f"user{n}@example.com", "wrong", address.format(n))
    assert people.begin(client=inside).may_begin() is Cause.LOCKED_NETWORK
    assert people.begin(client=outside).may_begin() is None


async def test_who_has_a_64_guesses_no_more_often_than_who_has_one_address(people: People) -> None:
    causes = [
        await people.cause(NAME, f"wrong{n}", f"2001:db8::{n:x}") for n in range(PAIR_LIMIT + 1)
    ]
    assert causes[PAIR_LIMIT] is Cause.LOCKED_PAIR
    for n in range(ADDRESS_LIMIT - PAIR_LIMIT):
        await people.cause(f"user{n}@example.com", "wrong", f"2001:db8::1:{n:x}")
    assert people.begin(client="2001:db8::ffff").may_begin() is Cause.LOCKED_ADDRESS
    assert people.begin(client="2001:db8:0:1::1").may_begin() is None


async def test_an_account_is_not_guessed_at_from_all_64s_of_a_48(people: People) -> None:
    await people.put(account(), main())
    for n in range(30):
        for k in range(4):
            await people.cause(NAME, f"wrong{n}-{k}", f"2001:db8:0:{n:x}::7")
    assert len(people.asked) == NETWORK_LIMIT


async def test_guesses_under_way_together_hear_no_more_than_the_limit_allows(
    people: People,
) -> None:
    await people.put(account(), main())
    attempts = [people.begin() for _ in range(PAIR_LIMIT + 1)]
    for attempt in attempts[:-1]:
        assert await attempt.answer(CheckPassword(NAME, "wrong")) is False
    assert await attempts[-1].answer(CheckPassword(NAME, PASSWORD)) is True
    for attempt in attempts[:-1]:
        attempt.conclude(Granted(""))
    assert attempts[-1].conclude(Granted(NAME)).cause is Cause.LOCKED_PAIR


async def test_our_own_trouble_is_nobodys_failure(people: People) -> None:
    await people.store.close()
    for _ in range(2 * ADDRESS_LIMIT):
        assert await people.cause(NAME, "x") is Cause.STORE_AWAY
    assert len(people.throttle) == 0


async def test_each_login_is_counted_once(people: People) -> None:
    attempt = people.begin()
    await attempt.answer(CheckPassword(NOBODY, "x"))
    for _ in range(PAIR_LIMIT):
        attempt.conclude(Granted(NOBODY))
    assert people.begin().may_begin() is None
    assert people.throttle.lock(HERE, NOBODY) is None


async def test_a_neighbour_hears_of_a_lock_and_a_restart_forgets_nothing(people: People) -> None:
    for n in range(PAIR_LIMIT):
        await people.cause(NOBODY, f"wrong{n}")
    other = neighbour(people)
    await other.note_version(1)
    assert other.lock(HERE, NOBODY) is None
    await people.throttle.flush()
    await other.note_version(1)
    assert other.lock(HERE, NOBODY) is None
    await other.note_version(2)
    lock = other.lock(HERE, NOBODY)
    assert lock is not None
    assert lock.until == NOON + timedelta(minutes=1)


async def test_failures_of_several_workers_add_up(people: People) -> None:
    other = neighbour(people)
    for n in range(PAIR_LIMIT):
        (people.throttle if n % 2 else other).note_failure(HERE, NOBODY)
    assert people.throttle.lock(HERE, NOBODY) is None
    await people.throttle.flush()
    await other.flush()
    assert other.lock(HERE, NOBODY)
    await people.throttle.note_version(9)
    assert people.throttle.lock(HERE, NOBODY)


async def test_failures_wait_for_a_store_that_is_away(people: People) -> None:
    class Away:
        async def write(self, job: object) -> None:
            raise StoreUnavailableError("gone")

    throttle = Throttle(Away(), clock=people.seconds)  # type: ignore[arg-type]
    throttle.note_failure(HERE, NOBODY)
    with pytest.raises(StoreUnavailableError):
        await throttle.flush()
    throttle._store = people.store
    await throttle.flush()
    mark = subjects(HERE, NOBODY)[Cause.LOCKED_PAIR]
    known = await people.store.read(lambda reading: reading.guessed(mark))
    assert known
    assert known.failures == (NOON,)


async def test_unlocking_reaches_every_worker(people: People) -> None:
    for n in range(PAIR_LIMIT):
        await people.cause(NAME, f"wrong{n}")
    await people.throttle.flush()
    other = neighbour(people)
    await other.note_version(1)
    assert other.lock(HERE, NAME)

    def job(transaction):
        found = subjects_of(transaction, NAME)
        transaction.put_guessed([forgiven(each, people.now) for each in found])
        return found

    assert len(await people.store.write(job)) == 1
    await other.note_version(2)
    await people.throttle.note_version(2)
    assert other.lock(HERE, NAME) is None
    assert people.throttle.lock(HERE, NAME) is None


async def test_what_was_noted_before_an_unlock_and_is_written_after_it_counts_no_more(
    people: People,
) -> None:
    for _ in range(PAIR_LIMIT - 1):
        people.throttle.note_failure(HERE, NAME)
    await people.throttle.flush()
    people.later(seconds=0.01)
    for _ in range(PAIR_LIMIT):
        people.throttle.note_failure(HERE, NAME)
    people.later(seconds=0.01)

    def job(transaction):
        found = subjects_of(transaction, NAME)
        transaction.put_guessed([forgiven(each, people.now) for each in found])

    await people.store.write(job)
    await people.throttle.note_version(2)
    assert people.throttle.lock(HERE, NAME) is None
    await people.throttle.flush()
    assert people.throttle.lock(HERE, NAME) is None
    other = neighbour(people)
    await other.note_version(3)
    assert other.lock(HERE, NAME) is None
    people.later(seconds=0.01)
    for _ in range(PAIR_LIMIT):
        other.note_failure(HERE, NAME)
    await other.flush()
    assert other.lock(HERE, NAME)


async def test_an_address_stands_for_its_network_and_its_pairs(people: People) -> None:
    people.throttle.note_failure(HERE, NAME)
    people.throttle.note_failure("192.0.2.8", NAME)
    await people.throttle.flush()
    found = await people.store.read(lambda reading: subjects_of(reading, HERE))
    assert {guessed.subject for guessed in found} == set(subjects(HERE, NAME).values())


async def test_any_address_of_a_64_stands_for_its_pairs(people: People) -> None:
    people.throttle.note_failure("2001:db8::1", NAME)
    await people.throttle.flush()
    found = await people.store.read(lambda reading: subjects_of(reading, "2001:db8::2"))
    assert {guessed.subject for guessed in found} == set(subjects("2001:db8::1", NAME).values())


async def test_names_are_not_written_down(people: People) -> None:
    people.throttle.note_failure(HERE, AccountName("hunter2-typed-as-name"))
    await people.throttle.flush()
    found = await people.store.read(lambda reading: reading.guesses(NOON - timedelta(days=1)))
    assert "hunter2" not in repr(found)


async def test_what_is_long_past_is_forgotten(people: People) -> None:
    people.throttle.note_failure(HERE, NAME)
    await people.throttle.flush()
    people.later(hours=3)
    await people.throttle._try_forget()
    assert len(people.throttle) == 0
    assert await people.store.read(lambda reading: reading.guesses(NOON)) == []


async def test_what_still_counts_is_not_forgotten(people: People) -> None:
    for _ in range(PAIR_LIMIT - 1):
        people.throttle.note_failure(HERE, NAME)
    await people.throttle.flush()
    people.later(minutes=5)
    await people.throttle._try_forget()
    assert people.throttle.lock(HERE, NAME) is None
    people.throttle.note_failure(HERE, NAME)
    assert people.throttle.lock(HERE, NAME) is not None


@pytest.mark.parametrize(
    ("failed", "locked_until", "matters"),
    [
        ((), 101.0, True),
        ((), 100.0, False),
        ((99.0, 101.0), 0.0, True),
        ((99.0, 100.0), 0.0, False),
        ((99.0,), 101.0, True),
    ],
)
def test_a_lock_that_lasts_and_a_failure_that_counts_matter(failed, locked_until, matters):
    assert _matters(Record(failed, 1, locked_until), 100.0) is matters


async def test_the_copy_in_memory_is_bounded(people: People) -> None:
    throttle = Throttle(people.store, size=10, clock=people.seconds)
    for n in range(100):
        throttle.note_failure(f"192.0.2.{n}", NAME)
    assert len(throttle) == 10


@pytest.mark.parametrize(
    ("clock", "at"),
    [
        (timedelta(minutes=5), timedelta(minutes=5)),
        (timedelta(days=10), timedelta(seconds=1)),
        (timedelta(days=-10), timedelta(seconds=1)),
    ],
)
def test_an_operator_whose_clock_was_set_forgives_as_of_the_servers_last_word(clock, at):
    known = datetime(2026, 1, 2, tzinfo=UTC)
    guessed = Guessed("pair/x/192.0.2.1", (known,), 1, known + timedelta(hours=1), known)
    done = forgiven(guessed, known + clock)
    assert (done.failures, done.locks, done.changed_at) == ((), 0, known + at)
