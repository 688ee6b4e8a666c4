"""Whom to dial, in which order."""

from random import Random

import pytest

from gatepost.delivery.site import Host, targets, without_us

A = Host("a", 10, ("192.0.2.1",), 25)
B = Host("b", 10, ("192.0.2.2", "2001:db8::2"), 25)
C = Host("c", 20, ("192.0.2.3",), 25)


def names(hosts: list[Host], seed: int, limit: int = 9) -> list[str]:
    return [t.name for t in targets(hosts, Random(seed), limit)]


@pytest.mark.rfc("5321#5.1")
def test_preference_comes_first_and_equal_hosts_are_shuffled() -> None:
    orders = {tuple(names([C, B, A], seed)) for seed in range(50)}
    assert orders == {("a", "b", "b", "c"), ("b", "b", "a", "c")}


def test_an_address_is_called_once() -> None:
    again = Host("again", 30, ("192.0.2.1",), 25)
    assert names([A, again], 1) == ["a"]


def test_every_host_gets_its_turn_before_further_addresses() -> None:
    many = Host("many", 5, tuple(f"192.0.2.{n}" for n in range(50, 60)), 25)
    assert names([many, A, C], 1, limit=4) == ["many", "many", "a", "c"]
    assert names([many, A, C], 1, limit=1) == ["many"]


@pytest.mark.rfc("5321#5.1")
@pytest.mark.parametrize(
    ("ours", "left"),
    [
        ((False, False, False), (A, B, C)),
        ((False, False, True), (A, B)),
        ((True, False, False), ()),
    ],
)
def test_we_drop_ourselves_and_what_is_not_better(
    ours: tuple[bool, ...], left: tuple[Host, ...]
) -> None:
    assert without_us((A, B, C), ours) == left
