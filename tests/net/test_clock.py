from datetime import timedelta
from itertools import islice, pairwise

from gatepost.model.ids import time_of
from gatepost.net.clock import Entropy, SteadyTime, new_identifier, now
from tests.support.alone import alone


def test_time_is_in_utc():
    assert now().utcoffset() == timedelta(0)


def test_identifiers_rise_even_within_a_millisecond():
    names = [new_identifier() for _ in range(20_000)]
    assert all(a < b for a, b in pairwise(names))
    assert all(len(name) == 32 for name in names)


def test_an_identifier_carries_its_time():
    before = now().timestamp() * 1000
    # An earlier test may have borrowed from milliseconds to come.
    assert before - 1 <= time_of(new_identifier()) <= now().timestamp() * 1000 + 100


def test_a_fork_does_not_repeat_its_parents_chance():
    alone("tests.net.forks", "chance_is_not_repeated")


def test_fractions_lie_between_0_and_1():
    fractions = list(islice(Entropy().fractions(), 5000))
    assert all(0 <= f < 1 for f in fractions)
    assert 0.45 < sum(fractions) / len(fractions) < 0.55
    assert len(set(fractions)) == 5000


def told(*clock: tuple[float, float]) -> list[tuple[float, float]]:
    """Return what a steady time answers to pairs of (seconds that passed, by how many it is off)."""
    steady = SteadyTime()
    return [(steady.at(1000 + passed + off, passed) - 1000, steady.off) for passed, off in clock]


def test_a_small_step_is_followed_at_once():
    assert told((0, 0), (1, 29), (2, 0), (3, -29)) == [(0, 0), (30, 0), (2, 0), (-26, 0)]


def test_a_jump_is_not_followed_and_forgotten_when_it_is_taken_back():
    for far in (864_000, -864_000):
        assert told((0, 0), (1, far), (60, far), (61, 0), (62, 0)) == [
            (0, 0), (1, far), (60, far), (61, 0), (62, 0)
        ]  # fmt: skip


def test_a_jump_that_stays_is_followed_after_a_quarter_of_an_hour():
    assert told((0, 0), (1, 100), (900, 100), (901, 100), (902, 100)) == [
        (0, 0), (1, 100), (900, 100), (1001, 0), (1002, 0)
    ]  # fmt: skip


def test_each_jump_must_stay_for_itself():
    assert told((0, 0), (1, 100), (899, 500), (902, 500), (1799, 500)) == [
        (0, 0), (1, 100), (899, 500), (902, 500), (2299, 0)
    ]  # fmt: skip


def test_after_a_leap_it_is_known_for_a_while():
    steady = SteadyTime()
    for passed, off in [(0, 0), (1, 20), (2, 500), (901, 500)]:
        steady.at(passed + off, passed)
        assert not steady.followed_within(120, passed)
    steady.at(903 + 500, 903)
    assert steady.followed_within(120, 903)
    assert steady.followed_within(120, 1022)
    assert not steady.followed_within(120, 1023)
