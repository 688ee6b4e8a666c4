"""What would be said to an envelope, asked without content."""

import pytest

from gatepost.wire.smtp.client_events import (
    ContentWanted,
    Event,
    Phase,
)
from tests.wire.smtp.client_talk import ONE, PIPELINED, PLAIN, TWO, Talk, codes


@pytest.mark.rfc("5321#4.1.1.5")
def test_a_rehearsal_says_rset_instead_of_data() -> None:
    talk = Talk()
    talk.session.rehearse(TWO)
    assert talk.said() == (
        b"MAIL FROM:<a@x.example> SIZE=5\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\n"
        b"RSET\r\n"
    )
    (ended,) = talk.hear(b"250 ok\r\n250 fine\r\n550 no\r\n250 flushed\r\n")
    assert codes(ended) == [250, 550]
    assert talk.session.phase is Phase.READY


def test_a_rehearsal_goes_one_by_one_without_pipelining() -> None:
    talk = Talk(PLAIN)
    talk.session.rehearse(ONE)
    said = [talk.said()]
    for _ in range(3):
        events = talk.hear(b"250 ok\r\n")
        said.append(talk.said())
    assert said == [b"MAIL FROM:<a@x.example>\r\n", b"RCPT TO:<b@y.example>\r\n", b"RSET\r\n", b""]
    assert codes(events[0]) == [250]


@pytest.mark.parametrize("hello", [PLAIN, PIPELINED])
@pytest.mark.parametrize("replies", [(530,), (250, 550)])
def test_a_refused_rehearsal_ends_and_never_says_data(
    hello: bytes, replies: tuple[int, ...]
) -> None:
    talk = Talk(hello)
    talk.session.rehearse(ONE)
    said = talk.said()
    events: list[Event] = []
    for code in (*replies, 503, 250):
        if not events:
            events = talk.hear(b"%d x\r\n" % code)
            said += talk.said()
    assert codes(events[0]) == [replies[-1]]
    assert b"DATA" not in said


def test_a_message_may_follow_a_rehearsal() -> None:
    talk = Talk()
    talk.session.rehearse(ONE)
    talk.said()
    talk.hear(b"250 ok\r\n250 ok\r\n250 ok\r\n")
    assert talk.begin().endswith(b"DATA\r\n")
    assert talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n") == [ContentWanted()]
