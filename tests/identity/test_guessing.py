"""How guessing is slowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.identity.guessing import (
    FIRST_LOCK,
    FORGIVEN_AFTER,
    LONGEST_LOCK,
    WINDOW,
    GuessingBook,
    Record,
    after_failure,
    is_locked,
)


def failed(record: Record, *times: float, limit: int = 3) -> Record:
    for at in times:
        record = after_failure(record, at, limit=limit)
    return record


@pytest.mark.parametrize(
    ("times", "locked_until"),
    [
        ((0, 1), 0),
        ((0, 1, 2), 2 + FIRST_LOCK),
        ((0, 1, WINDOW), 0),
        ((0, 1, WINDOW - 1), WINDOW - 1 + FIRST_LOCK),
        ((0, 1, 2, 3, 4), 2 + FIRST_LOCK),
    ],
)
def test_so_many_failures_within_the_window_lock(
    times: tuple[float, ...], locked_until: float
) -> None:
    assert failed(Record(), *times).locked_until == locked_until


def test_each_further_lock_lasts_twice_as_long_up_to_an_hour() -> None:
    record, now, lengths = Record(), 0.0, []
    for _ in range(9):
        record = failed(record, now, now, now)
        lengths.append(record.locked_until - now)
        now = record.locked_until
    assert lengths == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_lock_ends_by_itself_and_is_forgiven_in_time() -> None:
    record = failed(Record(), 0, 0, 0)
    assert is_locked(record, 59.9)
    assert not is_locked(record, 60)
    now = record.locked_until + FORGIVEN_AFTER
    assert failed(record, now, now, now).locked_until == now + FIRST_LOCK


@given(st.lists(st.floats(0, 1e5)), st.integers(1, 20))
def test_no_lock_is_longer_than_an_hour(times: list[float], limit: int) -> None:
    record = Record()
    for at in sorted(times):
        record = after_failure(record, at, limit=limit)
        assert record.locked_until <= at + LONGEST_LOCK
        assert len(record.failures) < limit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_book_locks_one_address_and_no_other() -> None:
    clock = Clock()
    book = GuessingBook(2, clock=clock)
    assert book.note_failure("192.0.2.1") == 0
    assert book.note_failure("192.0.2.1") == FIRST_LOCK
    clock.now = 10
    assert book.seconds_locked("192.0.2.1") == FIRST_LOCK - 10
    assert book.seconds_locked("192.0.2.2") == 0
    clock.now = 60
    assert book.seconds_locked("192.0.2.1") == 0


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::2:3", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_an_ipv6_network_of_one_customer_counts_as_one(
    one: str, other: str, together: bool
) -> None:
    book = GuessingBook(1)
    book.note_failure(one)
    assert (book.seconds_locked(other) > 0) is together


def test_the_book_is_bounded_and_gives_up_who_failed_longest_ago() -> None:
    book = GuessingBook(1, size=2, clock=Clock())
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
        book.note_failure(address)
    assert len(book) == 2
    assert book.seconds_locked("192.0.2.2") == 0
    assert book.seconds_locked("192.0.2.1") > 0
