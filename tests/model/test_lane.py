"""How what waits is dealt between lanes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.lane import LANES, Lane, deal, less_urgent

OTP, TRANSACTIONAL, BULK = LANES

CASES = [  # limit, waiting (otp, transactional, bulk) -> dealt
    (500, (0, 0, 9000), (0, 0, 500)),
    (500, (3, 0, 9000), (3, 0, 497)),
    (21, (100, 100, 100), (16, 4, 1)),
    (21, (100, 100, 0), (17, 4, 0)),
    (21, (2, 100, 100), (2, 16, 3)),
    (3, (100, 100, 100), (1, 1, 1)),
    (2, (100, 100, 100), (1, 1, 0)),
    (1, (0, 5, 5), (0, 1, 0)),
    (10, (1, 1, 1), (1, 1, 1)),
    (0, (1, 1, 1), (0, 0, 0)),
    (5, (0, 0, 0), (0, 0, 0)),
]


@pytest.mark.parametrize(("limit", "waiting", "dealt"), CASES)
def test_deal(limit: int, waiting: tuple[int, ...], dealt: tuple[int, ...]) -> None:
    found = deal(limit, dict(zip(LANES, waiting, strict=True)))
    assert tuple(found[lane] for lane in LANES) == dealt


@given(st.integers(0, 600), st.tuples(*[st.integers(0, 600)] * 3))
def test_nothing_is_left_and_nothing_invented(limit: int, numbers: tuple[int, ...]) -> None:
    waiting = dict(zip(LANES, numbers, strict=True))
    dealt = deal(limit, waiting)
    assert sum(dealt.values()) == min(limit, sum(numbers))
    assert all(0 <= dealt[lane] <= waiting[lane] for lane in LANES)
    if limit >= len(LANES):
        assert all(dealt[lane] for lane in LANES if waiting[lane])


@pytest.mark.parametrize(
    ("one", "other", "less"),
    [(OTP, BULK, BULK), (BULK, OTP, BULK), (OTP, TRANSACTIONAL, TRANSACTIONAL), (OTP, OTP, OTP)],
)
def test_less_urgent(one: Lane, other: Lane, less: Lane) -> None:
    assert less_urgent(one, other) is less
