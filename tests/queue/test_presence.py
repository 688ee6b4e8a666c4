"""Who may hold whom for lost: a table of moments by the store's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from gatepost.model.ids import WorkerId
from gatepost.queue.presence import EVERY, HEARD, SILENT, heard, may_bury, steady_since
from gatepost.store.presences import Beat, Presence

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("former", "before", "lost", "steady"),
    [
        (None, None, False, 100),  # newborn
        (None, 95, False, 100),  # its second life under one name
        (60, None, False, 100),  # neighbours have forgotten it
        (60, 95, False, 60),  # heard all the time
        (60, 90, False, 60),  # a beat was missed
        (60, 89, False, 100),  # a gap: the store was away, or the worker stood still
        (60, 101, False, 100),  # the clock was set back
        (60, 95, True, 100),  # neighbours did not hear it
    ],
)
def test_a_gap_begins_everything_anew(former, before, lost, steady):
    beat = Beat(at(100), None if before is None else at(before), lost)
    assert steady_since(None if former is None else at(former), beat) == at(steady)


@pytest.mark.parametrize(("steady", "may"), [(100, False), (85.1, False), (85, True), (0, True)])
def test_only_who_was_heard_for_long_enough_buries(steady, may):
    assert may_bury(at(steady), Beat(at(100))) is may


def test_who_is_silent_ends_before_neighbours_begin():
    assert 2 * EVERY < HEARD < SILENT.total_seconds()


@pytest.mark.parametrize(
    ("heard_at", "lost", "is_alive"),
    [(100, False, True), (85.1, False, True), (85, False, False), (0, False, False), (100, True, False)],
)  # fmt: skip
def test_who_was_heard_lately_and_is_not_held_for_lost_is_alive(heard_at, lost, is_alive):
    one = Presence(
        WorkerId("n1/1/0"), "n1", "home", "1", (), at(0), at(heard_at), timedelta(0), lost=lost
    )
    assert heard([one], at(100)) == ([one] if is_alive else [])
