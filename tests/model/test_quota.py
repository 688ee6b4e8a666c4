"""Windows of 60 buckets: nothing is forgotten too early, nothing is kept too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.quota import BUCKETS, PLACES, Sliding, Subject, Tally, Unit, Window

EVENTS = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 50)), max_size=40)


def sliding(*events: tuple[int, int]) -> Sliding:
    counted = Sliding()
    for bucket, count in events:
        counted = counted.plus(bucket, count)
    return counted


@pytest.mark.parametrize(
    ("events", "at", "used"),
    [
        ((), 1000, 0),
        (((1000, 3),), 1000, 3),
        (((1000, 3),), 1059, 3),
        (((1000, 3),), 1060, 0),
        (((1000, 3), (1000, 4)), 1001, 7),
        (((1000, 3), (1030, 4)), 1059, 7),
        (((1000, 3), (1030, 4)), 1060, 4),
        (((1000, 3), (1060, 4)), 1060, 4),
        (((1000, 3), (5000, 4)), 5000, 4),
        # a clock that was set back: a little, and so far that all is new
        (((1000, 3), (990, 4)), 990, 7),
        (((1000, 3), (990, 4)), 1049, 7),
        (((1000, 3), (990, 4)), 1050, 3),
        (((1000, 3), (100, 4)), 100, 4),
        # a commit that came late
        (((1000, 3), (930, 4)), 1000, 7),
        (((1000, 3), (930, 4)), 1001, 3),
    ],
)
def test_what_counts(events: tuple[tuple[int, int], ...], at: int, used: int) -> None:
    assert sliding(*events).used(at) == used


@given(EVENTS, st.integers(0, 400))
def test_a_window_counts_its_last_60_buckets_and_nothing_else(
    events: list[tuple[int, int]], after: int
) -> None:
    events.sort()
    counted = sliding(*((bucket + 1000, count) for bucket, count in events))
    now = max((bucket for bucket, _ in events), default=0) + after
    kept = sum(count for bucket, count in events if now - BUCKETS < bucket <= now)
    assert counted.used(now + 1000) == kept


@given(EVENTS, st.integers(0, 100), st.integers(1, 300))
def test_it_opens_as_soon_as_there_is_room_and_not_before(
    events: list[tuple[int, int]], after: int, most: int
) -> None:
    events.sort()
    counted = sliding(*events)
    now = max((bucket for bucket, _ in events), default=0) + after
    opens = counted.room_at(now, most)
    assert opens >= now
    assert counted.used(opens) < most
    assert opens == now or counted.used(opens - 1) >= most


@given(st.lists(st.integers(-200, 200), max_size=30))
def test_any_clock_leaves_60_counts_and_none_below_zero(jumps: list[int]) -> None:
    counted, bucket = Sliding(), 100_000
    for jump in jumps:
        bucket += jump
        counted = counted.plus(bucket, 1)
        assert len(counted.counts) == BUCKETS
        assert counted.used(bucket) >= 1


def test_a_tally_counts_in_all_windows_of_the_unit() -> None:
    tally = Tally(Subject("account/a")).plus(1e9, {Unit.MESSAGES: 1, Unit.RECIPIENTS: 3})
    for unit, window in PLACES:
        expected = 1 if unit is Unit.MESSAGES else 3
        assert tally.used(unit, window, 1e9) == expected
        assert tally.used(unit, window, 1e9 + 60 * window.width) == 0
    assert tally.used(Unit.MESSAGES, Window.HOUR, 1e9 + 3000) == 1
