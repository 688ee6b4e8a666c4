"""One stranger takes no more of the content memory than his share, nor time without end."""

import pytest

from gatepost.net.address import network_of, one_client
from gatepost.reception.memory import Memory, Taker
from gatepost.reception.patience import Pace, Patience
from gatepost.wire.smtp.replies import NO_MEMORY
from tests.support.reception import Scene

STRANGERS = [Taker(f"192.0.2.{number}") for number in range(1, 100)]
ACCOUNTS = [Taker(f"app{number}@y.example", is_known=True) for number in range(1, 100)]


def test_a_stranger_has_a_share_and_all_strangers_leave_as_much_as_they_hold() -> None:
    memory = Memory(800, 100)
    memory.take(60, STRANGERS[0])
    memory.take(30, STRANGERS[0])
    assert (memory.left(STRANGERS[0]), memory.left(STRANGERS[1])) == (10, 100)
    for stranger in STRANGERS[1:]:
        memory.take(memory.left(stranger), stranger)
    assert 395 <= memory.used <= 400
    assert memory.left(ACCOUNTS[0]) >= 200
    memory.give(90, STRANGERS[0])
    assert memory.left(STRANGERS[0]) >= 40


def test_whoever_comes_next_finds_as_much_as_the_largest_holds() -> None:
    memory = Memory(1000)
    held: list[int] = []
    for account in ACCOUNTS[:9]:
        taken = 0
        while more := memory.left(account):
            memory.take(more, account)
            taken += more
        held.append(taken)
        assert memory.limit - memory.used >= taken - 1
    assert held[0] >= 499
    assert memory.left(ACCOUNTS[50]) > 0
    for account, octets in zip(ACCOUNTS, held, strict=False):
        memory.give(octets, account)
    assert (memory.used, memory._held, memory.left(ACCOUNTS[0])) == (0, {}, 500)


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::5", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::9%eth0", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::/64", "2001:db8:0:1::/64"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(host: str, client: str) -> None:
    assert one_client(host) == client


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("2001:db8:0:1::5", "2001:db8::/48"),
        ("2001:db8:0:1:ffff::9%eth0", "2001:db8::/48"),
        ("2001:db8:0:1::/64", "2001:db8::/48"),
        ("::ffff:192.0.2.1", "192.0.2.0/24"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_what_counts_as_one_network(host: str, network: str) -> None:
    assert network_of(host) == network


async def test_a_stranger_whose_share_is_taken_is_told_to_come_again() -> None:
    scene = Scene("mx")
    scene.memory = Memory(1 << 30, 5000)
    scene.memory.take(4000, Taker("192.0.2.7"))  # by his other connections
    conversation = scene.conversation()
    assert conversation._holding.taker == Taker("192.0.2.7")
    conversation._keep(b"x" * 900)
    assert [conversation._session.content_refusal] == [None]
    conversation._keep(b"x" * 200)
    assert [conversation._session.content_refusal] == [NO_MEMORY]  # said at the end of content
    assert scene.memory.used == 4000


def test_fast_content_earns_no_more_time_than_idle() -> None:
    pace = Pace(idle=300.0, session=86_400.0, minimum_rate=100)
    patience = Patience(pace, 0.0)
    patience.earn(1_000_000, 7.0)  # 10 000 s at 100 octets a second
    due = patience.content_due
    assert due - 7.0 <= pace.idle
    patience.earn(1, 7.0)  # a trickle puts it off by a hundredth of a second at most
    assert patience.content_due - due < 1


def test_content_that_is_over_leaves_no_time_to_the_next() -> None:
    patience = Patience(Pace(idle=300.0, session=86_400.0, minimum_rate=100), 0.0)
    assert patience.until(0.0, in_content=True) == 30.0
    patience.earn(1000, 1.0)
    assert patience.until(1.0, in_content=True) == 40.0
    patience.content_over()
    assert patience.until(2.0, in_content=True) == 32.0
    assert patience.until(3.0, in_content=False) == 303.0
    assert patience.until(86_399.0, in_content=False) == 86_400.0
