"""How guessing is slowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.identity.guessing import (
    FIRST_LOCK,
    FORGIVEN_AFTER,
    LONGEST_LOCK,
    WINDOW,
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
