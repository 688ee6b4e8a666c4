"""One stranger takes no more of the content memory than his share, nor time without end."""

import pytest

from gatepost.net.address import one_client
from gatepost.reception.desk import Memory
from gatepost.reception.patience import Pace, Patience
from gatepost.wire.smtp.replies import NO_MEMORY
from tests.support.reception import Scene


def test_a_stranger_has_a_share_and_who_logged_in_has_all() -> None:
    memory = Memory(800, 100)
    memory.take(60, "192.0.2.1")
    memory.take(30, "192.0.2.1")
    assert (memory.left("192.0.2.1"), memory.left("192.0.2.2"), memory.left()) == (10, 100, 710)
    memory.take(650)
    assert memory.left("192.0.2.2") == 60  # what is left at all
    memory.give(90, "192.0.2.1")
    memory.give(650)
    assert (memory.used, memory.left("192.0.2.1")) == (0, 100)


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::5", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::9%eth0", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(host: str, client: str) -> None:
    assert one_client(host) == client


async def test_a_stranger_whose_share_is_taken_is_told_to_come_again() -> None:
    scene = Scene("mx")
    scene.memory = Memory(1 << 30, 5000)
    scene.memory.take(4000, "192.0.2.7")  # by his other connections
    conversation = scene.conversation()
    assert conversation._stranger() == "192.0.2.7"
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
