"""From which source address a delivery leaves, and for which pools a node sends."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from gatepost.egress.choice import choose, served, usable, why_none
from gatepost.egress.served import served_anywhere, why_nowhere
from gatepost.model.ids import WorkerId
from gatepost.model.source import Source
from gatepost.store.pauses import Pause
from gatepost.store.presences import Announced, Presence

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
ONE = Source("one.example", "192.0.2.1", "2001:db8::1")
TWO = Source("two.example", "192.0.2.2", None, ("default", "bulk"))
SIX = Source("six.example", None, "2001:db8::6", ("bulk",))
ALL = (ONE, TWO, SIX)
V4, V6 = ("198.51.100.1",), ("2001:db8:ffff::1",)


def who(number: int) -> str:
    return f"app@example.com user{number}@dest.example"


@pytest.mark.parametrize(
    ("out", "left"),
    [
        ((), ALL),
        (("192.0.2.2",), (ONE, SIX)),
        (("192.0.2.1",), (Source("one.example", None, "2001:db8::1"), TWO, SIX)),
        (("192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::6"), ()),
        (("192.0.2.99",), ALL),
    ],
)
def test_what_is_left_without_addresses(out, left) -> None:
    assert usable(ALL, out) == left


@pytest.mark.parametrize(
    ("sources", "out", "pools"),
    [
        ((), (), ("", "default")),
        ((SIX,), (), ("", "bulk", "default")),  # no address is in the default pool
        ((ONE,), (), ("", "default")),
        ((ONE,), ("192.0.2.1",), ("", "default")),
        ((ONE,), ONE.addresses, ("",)),  # paused: the system must not choose instead
        (ALL, (), ("", "bulk", "default")),
        (ALL, ("192.0.2.2", "2001:db8::6"), ("", "default")),
    ],
)
def test_for_which_pools_a_node_sends(sources, out, pools) -> None:
    assert served(sources, out) == pools


def test_the_choice_is_the_same_again_and_for_others_another() -> None:
    chosen = [choose((ONE, TWO), who(n), V4) for n in range(1000)]
    assert [choose((TWO, ONE), who(n), V4) for n in range(1000)] == chosen
    assert all(400 < count < 600 for count in Counter(one.name for one in chosen).values())


def test_three_share_evenly_and_one_that_goes_takes_only_its_own_along() -> None:
    third = Source("three.example", "192.0.2.3")
    before = {n: choose((ONE, TWO, third), who(n), V4) for n in range(1500)}
    assert all(400 < count < 600 for count in Counter(s.name for s in before.values()).values())
    after = {n: choose((ONE, TWO), who(n), V4) for n in before}
    assert all(after[n] == one for n, one in before.items() if one != third)


@pytest.mark.parametrize(
    ("candidates", "peers", "possible"),
    [
        (ALL, V6, {"one.example", "six.example"}),
        (ALL, V4, {"one.example", "two.example"}),
        (ALL, V4 + V6, {"one.example", "two.example", "six.example"}),
        ((TWO,), V6, {"two.example"}),  # nobody is able: the attempt says so
    ],
)
def test_the_version_of_ip_goes_with_the_destination(candidates, peers, possible) -> None:
    assert {choose(candidates, who(n), peers).name for n in range(100)} == possible


@pytest.mark.parametrize(
    ("pool", "out", "words"),
    [
        ("gone", {}, "no source address of pool gone is at this node"),
        (
            "",
            {"192.0.2.1": "is paused (listed)", "2001:db8::1": "is paused", "x": "y"},
            (
                "no source address of pool default may be used: 192.0.2.1 is paused (listed);"
                " 2001:db8::1 is paused"
            ),
        ),
    ],
)
def test_why_there_is_none(pool, out, words) -> None:
    assert why_none((ONE, SIX), pool, out) == words


def presence(*sources: Announced) -> Presence:
    return Presence(
        WorkerId("a/0/1.1/"), "a", "home", "1", (), NOON, NOON, timedelta(0), sources=sources
    )


def test_what_nodes_serve_together() -> None:
    first, second = presence(Announced(SIX, ("2001:db8::6",))), presence(Announced(ONE))
    assert served_anywhere([], []) == frozenset()
    assert served_anywhere([first, second], []) == {"", "default"}
    assert served_anywhere([presence(Announced(TWO))], []) == {"", "default", "bulk"}
    pauses = [Pause("192.0.2.2", NOON, "ops", "listed")]
    assert served_anywhere([presence(Announced(TWO))], pauses) == {""}
    assert why_nowhere("bulk", [first, presence(Announced(TWO))], pauses) == (
        "no source address of pool bulk may be used: 2001:db8::6 is not an address of this machine"
        " now; 192.0.2.2 is paused (listed)"
    )
    assert why_nowhere("bulk", [second], []) == (
        "no node that runs has a source address of pool bulk"
    )
