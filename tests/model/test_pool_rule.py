"""From which pool a submission leaves: the first rule that fits decides."""

import pytest

from gatepost.model.pool_rule import PoolRule, Traits, pool_of

APP = Traits("app@example.com", "1", "news.example", "digest")


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (PoolRule("p", accounts=frozenset({"app@example.com"})), True),
        (PoolRule("p", accounts=frozenset({"other@example.com"})), False),
        (PoolRule("p", credentials=frozenset({"2", "1"})), True),
        (PoolRule("p", credentials=frozenset({"2"})), False),
        (PoolRule("p", domains=("x.example", "news.example")), True),
        (PoolRule("p", domains=("example", "*.news.example")), False),
        (PoolRule("p", domains=("*.example",)), True),
        (PoolRule("p", domains=("*",)), True),
        (PoolRule("p", streams=frozenset({"digest"})), True),
        (PoolRule("p", streams=frozenset({"Digest"})), False),
        (PoolRule("p", frozenset({"app@example.com"}), streams=frozenset({"digest"})), True),
        (PoolRule("p", frozenset({"app@example.com"}), streams=frozenset({"other"})), False),
    ],
)
def test_all_that_is_given_must_fit(rule: PoolRule, fits: bool) -> None:
    assert rule.fits(APP) is fits
    assert pool_of([rule], APP) == ("p" if fits else None)
    assert not rule.fits(Traits())


def test_the_first_that_fits_decides() -> None:
    rules = [
        PoolRule("none", streams=frozenset({"other"})),
        PoolRule("first", domains=("*.example",)),
        PoolRule("second", streams=frozenset({"digest"})),
    ]
    assert pool_of(rules, APP) == "first"
    assert pool_of([], APP) is None
