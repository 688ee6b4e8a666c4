"""When to try again, and when it is over."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.delivery import Delivery
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.settings import RetrySettings
from gatepost.model.submission import Submission
from gatepost.queue.expiry import is_delay_notice_due, is_expired
from gatepost.queue.retry import next_attempt

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = RetrySettings()
EXPIRES = NOON + timedelta(days=5)

#: Just before the time is over.
LAST = 0.25
CASES = [  # attempts, minutes since accepted -> minutes to wait (None: give up)
    (0, 0, 5),
    (1, 0, 5),
    (2, 5, 10),
    (3, 15, 20),
    (4, 35, 40),
    (7, 315, 240),
    (1000, 315, 240),
    (40, 5 * 24 * 60 - 1, None),
    (1, 5 * 24 * 60 - 6, 5),
    (1, 5 * 24 * 60 - 5, 5 - LAST),  # it would come when the time is just over
    (40, 5 * 24 * 60 - 100, 100 - LAST),
    (40, 5 * 24 * 60 - 2.75, 2.75 - LAST),
    (40, 5 * 24 * 60 - 2.74, None),  # that was the last time
]


@pytest.mark.rfc("5321#4.5.4.1")
@pytest.mark.parametrize(("attempts", "age", "wait"), CASES)
def test_delays_double_up_to_the_longest(attempts: int, age: float, wait: float | None) -> None:
    now = NOON + timedelta(minutes=age)
    expected = None if wait is None else now + timedelta(minutes=wait)
    assert next_attempt(attempts, EXPIRES, now, SETTINGS, spread=0.5) == expected


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_spread_is_a_twentieth(attempts: int, spread: float) -> None:
    middle = next_attempt(attempts, EXPIRES, NOON, SETTINGS, 0.5)
    at = next_attempt(attempts, EXPIRES, NOON, SETTINGS, spread)
    assert middle is not None
    assert at is not None
    assert abs((at - middle) / (middle - NOON)) <= 0.0501


def delivery(attempts: int = 1, *, warned: bool = False) -> Delivery:
    return Delivery(
        id=DeliveryId("d"),
        submission_id=SubmissionId("s"),
        forward_path="b@y.example",
        destination="y.example",
        next_attempt_at=NOON,
        expires_at=EXPIRES,
        attempts=attempts,
        warned=warned,
    )


@pytest.mark.parametrize(
    ("attempts", "late", "expired"),
    [(1, timedelta(0), True), (1, timedelta(seconds=-1), False), (0, timedelta(days=9), False)],
)
def test_what_was_never_tried_gets_one_try(attempts: int, late: timedelta, expired: bool) -> None:
    assert is_expired(delivery(attempts), EXPIRES + late) is expired


@pytest.mark.parametrize(
    ("reverse_path", "warned", "age", "due"),
    [
        ("a@x.example", False, timedelta(hours=4), True),
        ("a@x.example", False, timedelta(hours=3, minutes=59), False),
        ("a@x.example", True, timedelta(hours=9), False),
        ("", False, timedelta(hours=9), False),
    ],
)
def test_delay_notice(reverse_path: str, warned: bool, age: timedelta, due: bool) -> None:
    submission = Submission(SubmissionId("s"), reverse_path, 10, NOON)
    assert is_delay_notice_due(delivery(warned=warned), submission, NOON + age, SETTINGS) is due
