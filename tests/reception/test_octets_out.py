"""Content out is content in, plus our prefix, octet for octet: through the engines, however cut."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.reception.fixups import Completed, Facts, complete
from gatepost.wire.message.trace import Hop
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import ContentWanted, Ended, Envelope, TransactionEnded
from gatepost.wire.smtp.client_events import NeedOctets as WantsReply
from gatepost.wire.smtp.extensions import Channel, Profile
from gatepost.wire.smtp.server import ServerSession
from gatepost.wire.smtp.server_events import Asked, Closed, Content, ContentEnded, NeedOctets

HOP = Hop("c.test", "192.0.2.1", "relay.test", "1", datetime(2026, 1, 1, tzinfo=UTC))
HEAD = b"From: a@b.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@b.test>\r\n"

lines = st.lists(
    st.one_of(
        st.sampled_from([b"", b".", b"..", b".x", b"--b", b"From here", b" "]),
        st.binary(max_size=60).map(lambda b: b.translate(None, b"\r\n\0")),
    ),
    max_size=20,
)
texts = st.builds(lambda body: HEAD + b"\r\n" + b"".join(line + b"\r\n" for line in body), lines)
cut_points = st.lists(st.integers(1, 3000), unique=True).map(sorted)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    return [
        octets[a:b] for a, b in pairwise([0, *[c for c in cuts if c < len(octets)], len(octets)])
    ]


def stuffed(content: bytes) -> bytes:
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]


def chunked(content: bytes, cuts: list[int]) -> bytes:
    parts = pieces(content, cuts)
    return b"".join(
        b"BDAT %d%b\r\n%b" % (len(part), b" LAST" * (at == len(parts)), part)
        for at, part in enumerate(parts, 1)
    )


def taken(octets: list[bytes]) -> list[bytes]:
    """Return the contents that a server session hands out, one for each transaction."""
    session = ServerSession(Profile("relay.test", 1 << 20), Channel.TLS)
    contents: list[bytes] = []
    under_way = b""
    for each in octets:
        session.receive(each)
        while not isinstance(event := session.next_event(), NeedOctets | Closed):
            match event:
                case Content(piece):
                    under_way += piece
                case ContentEnded():
                    contents.append(under_way)
                    under_way = b""
                    session.answer(replies.QUEUED)
                case Asked():
                    session.answer(replies.OK)
    return contents


@pytest.mark.rfc("5321#4.5.2", "3030#2", "2920#3.2")
@given(st.lists(st.tuples(texts, st.none() | cut_points), min_size=1, max_size=4), cut_points)
def test_pipelined_transactions_by_data_and_by_bdat(
    messages: list[tuple[bytes, list[int] | None]], cuts: list[int]
) -> None:
    wire = b"EHLO c\r\n"
    for content, chunk_cuts in messages:
        wire += b"MAIL FROM:<a@b.test> BODY=8BITMIME\r\nRCPT TO:<c@d.test>\r\n"
        if chunk_cuts is None:
            wire += b"DATA\r\n" + stuffed(content) + b".\r\n"
        else:
            wire += chunked(content, chunk_cuts)
    contents = taken(pieces(wire, cuts))
    assert contents == [content for content, _ in messages]
    for content in contents:
        made = complete(content, Facts(HOP, True, "a@b.test"))
        assert isinstance(made, Completed)
        assert b"".join(made.octets) == made.prefix + content
        assert made.prefix.startswith(b"Received: ")


@pytest.mark.rfc("3030#3")
@given(st.binary(max_size=500), cut_points, cut_points)
def test_binary_content(body: bytes, chunk_cuts: list[int], cuts: list[int]) -> None:
    content = HEAD + b"\r\n" + body
    wire = b"EHLO c\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<c@d.test>\r\n"
    assert taken(pieces(wire + chunked(content, chunk_cuts), cuts)) == [content]
    made = complete(content, Facts(HOP, True, "a@b.test", binary=True))
    assert isinstance(made, Completed)
    assert b"".join(made.octets) == made.prefix + content


@given(texts, st.booleans(), cut_points, st.integers(1, 50))
def test_from_our_client_to_our_server(
    content: bytes, binary: bool, cuts: list[int], window: int
) -> None:
    """Both engines, mouth to ear, some octets at a time."""
    client = ClientSession("c.test")
    server = ServerSession(Profile("relay.test", 1 << 20), Channel.TLS)
    got, done = b"", False
    waiting = b""
    while not done:
        waiting += client.octets_to_send()
        server.receive(waiting[:window]) if waiting else None
        waiting = waiting[window:]
        while not isinstance(event := server.next_event(), NeedOctets | Closed):
            if isinstance(event, Content):
                got += event.octets
            else:
                server.answer(replies.OK)
        if said := server.octets_to_send():
            client.receive(said)
        while not isinstance(step := client.next_event(), WantsReply | Ended):
            if isinstance(step, ContentWanted):
                for piece in pieces(content, cuts):
                    client.send_content(piece)
                client.end_content()
            elif isinstance(step, TransactionEnded):
                done = True
            else:
                client.begin(
                    Envelope("", ("c@d.test",), len(content), eight_bit=True, binary=binary)
                )
    assert got == content
