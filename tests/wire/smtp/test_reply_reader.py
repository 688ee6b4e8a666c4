"""Replies of servers, however TCP cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp.reply_reader import ReplyFault, ReplyReader, ServerReply

Heard = list[ServerReply | ReplyFault]


def read(pieces: list[bytes]) -> Heard:
    reader, heard = ReplyReader(), []
    for piece in pieces:
        reader.feed(piece)
        while reply := reader.next_reply():
            heard.append(reply)
            if isinstance(reply, ReplyFault):
                return heard
    return heard


CASES = [
    (b"250 OK\r\n", [ServerReply(250, "", ("OK",))]),
    (b"250 2.1.0 Sender OK\r\n", [ServerReply(250, "2.1.0", ("Sender OK",))]),
    (b"250\r\n", [ServerReply(250, "", ("",))]),
    (b"250 \r\n", [ServerReply(250, "", ("",))]),
    (b"550 5.1.1\r\n", [ServerReply(550, "5.1.1", ("",))]),
    (b"250 OK\n", [ServerReply(250, "", ("OK",))]),
    (b"250-a\r\n250-b c\r\n250 d\r\n", [ServerReply(250, "", ("a", "b c", "d"))]),
    (b"550-5.7.1 a\r\n550 5.7.1 b\r\n", [ServerReply(550, "5.7.1", ("a", "b"))]),
    (b"250-a\r\n250\r\n", [ServerReply(250, "", ("a", ""))]),
    (b"421 \x07bell\r\n", [ServerReply(421, "", ("?bell",))]),
    (b"250 1.2.3.4 said hello\r\n", [ServerReply(250, "", ("1.2.3.4 said hello",))]),
    (b"hello\r\n", [ReplyFault.NOT_A_REPLY]),
    (b"\r\n", [ReplyFault.NOT_A_REPLY]),
    (b"2500 OK\r\n", [ReplyFault.NOT_A_REPLY]),
    (b"150 OK\r\n", [ReplyFault.NOT_A_REPLY]),
    (b"250-a\r\n251 b\r\n", [ReplyFault.CODES_DIFFER]),
    (b"250 " + b"x" * 5000 + b"\r\n", [ReplyFault.TOO_LONG]),
    (b"250 " + b"x" * 5000, [ReplyFault.TOO_LONG]),
    (b"250-x\r\n" * 40_000, [ReplyFault.TOO_LONG]),
]


@pytest.mark.rfc("5321#4.2")
@pytest.mark.parametrize(("octets", "heard"), CASES, ids=lambda v: repr(v)[:40])
def test_reply(octets: bytes, heard: Heard) -> None:
    assert read([octets]) == heard


DIALOGUE = b"220 hi\r\n250-a\r\n250-PIPELINING\r\n250 2.0.0 d\r\n250\r\n550 5.1.1 no\r\nrubbish\r\n"


@given(st.lists(st.integers(1, len(DIALOGUE) - 1), unique=True).map(sorted))
def test_any_cut_gives_the_same_replies(cuts: list[int]) -> None:
    pieces = [DIALOGUE[a:b] for a, b in pairwise([0, *cuts, len(DIALOGUE)])]
    assert read(pieces) == read([DIALOGUE])


@given(st.binary(max_size=300))
def test_garbage_never_raises(octets: bytes) -> None:
    read([octets, b"\r\n"])


def test_text_joins_what_is_not_empty() -> None:
    assert ServerReply(550, "5.1.1", ("a", "", "b")).words == "550 5.1.1 a b"


def test_of_what_a_server_says_little_is_kept() -> None:
    reader = ReplyReader()
    for number in range(100):
        reader.feed(b"250 %d %b\r\n" % (number, b"a" * 4000))
        assert isinstance(reader.next_reply(), ServerReply)
    assert not reader._known
    for number in range(100):
        reader.feed(b"250 2.0.0 Ok %d\r\n" % number)
        assert isinstance(reader.next_reply(), ServerReply)
    assert len(reader._known) == 32


def test_a_reply_has_its_bound_in_all() -> None:
    reader = ReplyReader()
    reader.feed(b"250-%b\r\n" % (b"a" * 4000) * 5)
    assert reader.next_reply() is ReplyFault.TOO_LONG
