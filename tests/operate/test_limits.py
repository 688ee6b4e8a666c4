"""What an operator writes for a limit, and what becomes of it."""

import pytest

from gatepost.model.quota import Limit, Unit, Window
from gatepost.operate.limits import BadLimitError, Change, change_of, with_changes

M, R = Unit.MESSAGES, Unit.RECIPIENTS


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("10", Change(M, Window.HOUR, 10)),
        (" 0 ", Change(M, Window.HOUR, 0)),
        ("none", Change(M, Window.HOUR, None)),
        ("Unlimited", Change(M, Window.HOUR, None)),
        ("default", Change(M, Window.HOUR, is_dropped=True)),
    ],
)
def test_a_number_none_or_default(text: str, change: Change) -> None:
    assert change_of(M, Window.HOUR, text) == change


@pytest.mark.parametrize("text", ["", "-1", "ten", "1.5", "10k", "٣", "1000000001"])
def test_anything_else_is_said_with_its_mend(text: str) -> None:
    with pytest.raises(BadLimitError, match='write a number, "none", or "default"'):
        change_of(M, Window.HOUR, text)


def test_a_change_leaves_the_other_limits_and_their_order() -> None:
    limits = (Limit(M, Window.DAY, 5), Limit(R, Window.MINUTE, 9))
    changes = [
        Change(R, Window.MINUTE, is_dropped=True),
        Change(M, Window.DAY, 6),
        Change(M, Window.HOUR),
        Change(R, Window.MONTH, is_dropped=True),
    ]
    assert with_changes(limits, changes) == (Limit(M, Window.HOUR, None), Limit(M, Window.DAY, 6))
