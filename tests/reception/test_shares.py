"""One stranger takes no more of the content memory than his share, nor time without end."""

import pytest

from gatepost.net.address import one_client
from gatepost.reception.desk import Memory
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


async def test_fast_content_earns_no_more_time_than_idle() -> None:
    scene = Scene("mx")
    conversation = scene.conversation()
    conversation._content_due = 0.0
    conversation._earn_time(1_000_000)  # 10 000 s at 100 octets a second
    left = conversation._content_due - conversation._time()
    assert left <= scene.limits.idle.total_seconds()
    due = conversation._content_due
    conversation._earn_time(1)  # a trickle puts it off by a hundredth of a second at most
    assert conversation._content_due - due < 1
