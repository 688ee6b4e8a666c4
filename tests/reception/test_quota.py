"""What is left, how much a worker takes at a time, and what a client is told."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.quota import Limit, Subject, Tally, Unit, Window
from gatepost.reception.quota import Use, effective, narrowest, portion, uses, warnings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AT = NOON.timestamp()
M, R = Unit.MESSAGES, Unit.RECIPIENTS


def tally(*sent: tuple[timedelta, int]) -> Tally:
    made = Tally(Subject("account/app@sender.test"))
    for ago, count in sent:
        made = made.plus((NOON - ago).timestamp(), {M: count})
    return made


@pytest.mark.parametrize(
    ("left", "wanted", "handed_out"),
    [
        (1000, 1, 50),
        (400, 1, 50),
        (80, 1, 10),
        (15, 1, 1),
        (1, 1, 1),
        (0, 1, 0),
        (-5, 1, 0),
        (100, 40, 40),
        (30, 40, 30),
        (1000, 0, 50),  # in advance
        (7, 0, 0),
    ],
)
def test_portions_shrink_to_what_is_needed(left: int, wanted: int, handed_out: int) -> None:
    assert portion(left, wanted, 50) == handed_out


@given(st.integers(-10, 10_000), st.integers(0, 500))
def test_no_portion_is_more_than_what_is_left_nor_less_than_is_needed(
    left: int, wanted: int
) -> None:
    handed_out = portion(left, wanted, 50)
    assert 0 <= handed_out <= max(left, 0)
    assert handed_out >= min(wanted, max(left, 0))


def test_an_account_s_own_limit_goes_before_the_settings_and_may_lift_it() -> None:
    defaults = (Limit(M, Window.HOUR, 100), Limit(M, Window.DAY, 500))
    own = (Limit(M, Window.HOUR, None), Limit(R, Window.DAY, 7))
    assert effective(defaults, own) == (Limit(M, Window.DAY, 500), Limit(R, Window.DAY, 7))


def test_the_reply_says_what_is_used_of_what_and_when_it_opens_again() -> None:
    used = tally((timedelta(minutes=50), 6), (timedelta(minutes=1), 4))
    found = uses(used, (Limit(M, Window.HOUR, 10),), AT, held={})
    spent = narrowest(found, M)
    assert spent is not None
    # What was sent at 11:10 leaves the window at 12:10.
    assert spent.opens_at == datetime(2026, 1, 1, 12, 10, tzinfo=UTC)
    assert spent.reply.octets == (
        b"450 4.7.0 Quota spent: 10 of 10 messages in an hour;"
        b" opens again at 2026-01-01 12:10:00 UTC\r\n"
    )


def test_of_two_spent_limits_the_one_that_opens_last_is_told() -> None:
    used = tally((timedelta(minutes=1), 10))
    limits = (Limit(M, Window.HOUR, 5), Limit(M, Window.DAY, 8), Limit(M, Window.MONTH, 99))
    spent = narrowest(uses(used, limits, AT, held={}), M)
    assert spent is not None
    assert spent.window is Window.DAY


def test_who_may_send_nothing_at_all_is_sent_to_the_operator() -> None:
    (use,) = uses(tally(), (Limit(M, Window.DAY, 0),), AT, held={})
    assert use.reply.text == "Quota spent: 0 of 0 messages in a day; ask the operator"


def test_what_workers_hold_counts_as_spent() -> None:
    (use,) = uses(tally(), (Limit(M, Window.MINUTE, 10),), AT, held={M: 4})
    assert (use.used, use.left) == (4, 6)


def test_a_limit_is_warned_of_once_at_80_and_once_at_95_until_use_has_fallen() -> None:
    limits = (Limit(M, Window.HOUR, 100),)
    told = []
    known = tally()
    steps = [79, 1, 5, 10, 0, 5]
    for step in steps:
        known = known.plus(AT, {M: step})
        known, crossed = warnings(known, uses(known, limits, AT, held={}))
        told.append([warned.percent for warned in crossed])
    assert told == [[], [80], [], [95], [], []]
    later = AT + 2 * 3600
    known, crossed = warnings(known, uses(known, limits, later, held={}))
    assert crossed == []
    known = known.plus(later, {M: 96})
    known, crossed = warnings(known, uses(known, limits, later, held={}))
    assert [warned.percent for warned in crossed] == [95]


@pytest.mark.parametrize(
    ("used", "told"),
    [
        ([80, 75, 80], [[80], [], []]),
        ([80, 70, 80], [[80], [], []]),
        ([80, 69, 80], [[80], [], [80]]),
        ([95, 85, 95], [[95], [], []]),
        ([95, 84, 95], [[95], [], [95]]),
    ],
)
def test_use_has_fallen_where_it_is_ten_percent_below(
    used: list[int], told: list[list[int]]
) -> None:
    known, heard = tally(), []
    for count in used:
        known, crossed = warnings(known, [Use(M, Window.HOUR, count, 100)])
        heard.append([warned.percent for warned in crossed])
    assert heard == told


def test_use_that_wavers_at_a_threshold_is_told_once() -> None:
    limits = (Limit(M, Window.HOUR, 100),)
    known = tally((timedelta(minutes=59), 2), (timedelta(minutes=30), 79))
    known, crossed = warnings(known, uses(known, limits, AT, held={}))
    assert len(crossed) == 1
    for minute in (1, 2, 3, 4):
        known = known.plus(AT + 60 * minute, {M: 1})
        known, crossed = warnings(known, uses(known, limits, AT + 60 * minute, held={}))
        assert crossed == []
