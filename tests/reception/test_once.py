"""A message under an idempotency key: when it is the same one, and for how long."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gatepost.model.ids import SubmissionId
from gatepost.model.submission import Submission
from gatepost.reception.once import Before, came_before, once_under
from gatepost.store.kept_keys import KeptKey
from tests.support.reception import APP, NOON, RememberingStore

DAY = timedelta(days=1)
PATHS = ("b@y.example", "c@y.example")
FIRST = Submission(SubmissionId("first"), "a@x.example", 1, NOON, account=APP)
ONCE = once_under("key", "a@x.example", PATHS, (b"con", b"tent"))


class Keys(RememberingStore):
    """Keys, and before when they were to be forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[datetime] = []

    def keep_key(self, kept: KeptKey, *, forget_before: datetime) -> None:
        super().keep_key(kept, forget_before=forget_before)
        self.forgotten.append(forget_before)


@pytest.mark.parametrize(
    ("again", "before"),
    [
        (once_under("key", "a@x.example", PATHS, (b"content",)), Before(FIRST.id)),
        (once_under("key", "a@x.example", PATHS[::-1], (b"content",)), Before(FIRST.id)),
        (once_under("key", "a@x.example", PATHS, (b"content!",)), Before(None)),
        (once_under("key", "a@x.example", PATHS[:1], (b"content",)), Before(None)),
        (once_under("key", "c@x.example", PATHS, (b"content",)), Before(None)),
        (once_under("other", "a@x.example", PATHS, (b"content",)), None),
    ],
)
def test_a_key_stands_for_one_envelope_and_content(again, before) -> None:
    keys = Keys()
    assert came_before(keys, FIRST, ONCE, DAY) is None
    assert came_before(keys, replace(FIRST, id=SubmissionId("again")), again, DAY) == before


def test_a_key_holds_as_long_as_it_is_kept_and_then_is_new() -> None:
    keys = Keys()
    assert came_before(keys, FIRST, ONCE, DAY) is None
    last = replace(FIRST, id=SubmissionId("last"), received_at=NOON + DAY)
    assert came_before(keys, last, ONCE, DAY) == Before(FIRST.id)
    late = replace(last, id=SubmissionId("late"), received_at=NOON + DAY + timedelta.resolution)
    assert came_before(keys, late, ONCE, DAY) is None
    assert came_before(keys, late, ONCE, DAY) == Before(late.id)
    assert keys.forgotten == [NOON - DAY, late.received_at - DAY]


def test_who_has_no_account_has_no_keys() -> None:
    keys = Keys()
    nobody = replace(FIRST, account=None)
    assert came_before(keys, nobody, ONCE, DAY) is None
    assert came_before(keys, nobody, ONCE, DAY) is None
    assert keys.keys == {}
