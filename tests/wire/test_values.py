"""Values: equal by what they hold, changed by making another."""

from gatepost.wire.values import changed, value


@value(frozen=True, slots=True)
class _Pair:
    """Two numbers."""

    first: int
    second: int = 2


def test_equal_values_are_one_key() -> None:
    """They may stand in sets and as keys of tables."""
    assert _Pair(1) == _Pair(1, 2)
    assert len({_Pair(1), _Pair(1, 2), _Pair(1, 3)}) == 2


def test_a_change_is_another_value() -> None:
    """The former one stays as it was."""
    former = _Pair(1)
    assert changed(former, second=5) == _Pair(1, 5)
    assert former == _Pair(1, 2)
    assert changed(former) is not former
