"""Whose turn it is, how long a lane is tried, how much of the room it fills."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from gatepost.model.lane import LANES, Lane
from gatepost.model.settings import LaneSettings, RetrySettings
from gatepost.queue.lanes import Turns, has_room, room_for
from gatepost.queue.retry import pace, time_to_try

OTP, TRANSACTIONAL, BULK = LANES


def turns(count: int, *waiting: Lane) -> list[Lane]:
    its = Turns()
    found = []
    for _ in range(count):
        lane = its.whose(waiting)
        its.take(lane, waiting)
        found.append(lane)
    return found


def test_by_weight_while_all_wait() -> None:
    assert Counter(turns(210, *LANES)) == {OTP: 160, TRANSACTIONAL: 40, BULK: 10}
    assert Counter(turns(50, TRANSACTIONAL, BULK)) == {TRANSACTIONAL: 40, BULK: 10}


def test_no_lane_waits_longer_than_a_round() -> None:
    found = turns(210, *LANES)
    places = [number for number, lane in enumerate(found) if lane is BULK]
    assert max(b - a for a, b in pairwise(places)) <= 21


def test_what_comes_is_served_next_however_long_the_others_waited() -> None:
    its = Turns()
    for _ in range(1000):
        its.take(its.whose([TRANSACTIONAL, BULK]), [TRANSACTIONAL, BULK])
    assert its.whose(LANES) is OTP


def test_a_lane_that_was_empty_brings_no_credit() -> None:
    its = Turns()
    for _ in range(20):
        its.take(its.whose(LANES), LANES)  # bulk has nearly earned its turn
    its.take(OTP, [OTP])
    assert its.whose([TRANSACTIONAL, BULK]) is TRANSACTIONAL


@pytest.mark.parametrize(
    ("most", "held", "room"),
    [
        (4000, 0, (4000, 3600, 3200)),
        (4000, 3200, (800, 400, 0)),
        (4000, 4000, (0, 0, 0)),
        (1, 0, (1, 1, 1)),
    ],
)
def test_room(most: int, held: int, room: tuple[int, ...]) -> None:
    found = room_for(most, held)
    assert tuple(found[lane] for lane in LANES) == room
    assert [has_room(lane, most, held) for lane in LANES] == [count > 0 for count in room]


DAYS = timedelta(days=5)


@pytest.mark.parametrize(
    ("named", "give_up", "tried"),
    [
        (OTP, DAYS, timedelta(minutes=15)),
        (TRANSACTIONAL, DAYS, timedelta(days=2)),
        (BULK, DAYS, DAYS),
        (None, DAYS, DAYS),
        (OTP, timedelta(minutes=1), timedelta(minutes=1)),
        (TRANSACTIONAL, timedelta(hours=1), timedelta(hours=1)),
    ],
)
def test_time_to_try(named: Lane | None, give_up: timedelta, tried: timedelta) -> None:
    assert time_to_try(named, give_up, LaneSettings()) == tried


def test_one_time_passwords_are_tried_more_often() -> None:
    settings = RetrySettings()
    assert pace(BULK, settings) is settings
    quick = pace(OTP, settings)
    assert (quick.first, quick.longest) == (timedelta(minutes=1), timedelta(minutes=4))
    short = RetrySettings(first=timedelta(seconds=5), longest=timedelta(seconds=9))
    assert pace(OTP, short) == short
