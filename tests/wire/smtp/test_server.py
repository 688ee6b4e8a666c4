"""What the session settles by itself, and how it stands still when it asks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp import limits, replies
from gatepost.wire.smtp.commands import Auth, Mail
from gatepost.wire.smtp.extensions import Channel, Profile
from gatepost.wire.smtp.server import ServerSession
from gatepost.wire.smtp.server_events import (
    Asked,
    Closed,
    Content,
    ContentDropped,
    ContentEnded,
    NeedOctets,
    Responded,
    TurnOver,
)
from gatepost.wire.smtp.server_states import LEADS_TO, TRANSACTION, State

PROFILE = Profile("relay.test", 1000, ("PLAIN",))
PIPELINED = (
    b"EHLO c\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n"
    b"Subject: hi\r\n\r\n..dot\r\n.\r\nAUTH PLAIN\r\nAGEAYg==\r\nQUIT\r\n"
)


def run(pieces: list[bytes], channel: Channel = Channel.TLS) -> tuple[bytes, bytes]:
    """Say yes to everything; return what was said, and the content."""
    session, content = ServerSession(PROFILE, channel), b""
    for piece in filter(None, pieces):
        session.receive(piece)
        while True:
            match session.next_event():
                case Asked(Auth()):
                    session.challenge(b"")
                case Asked() | ContentEnded():
                    session.answer(replies.OK)
                case Responded(None):
                    session.exchange_over()
                case Responded():
                    session.answer(replies.AUTHENTICATED)
                case Content(octets):
                    content += octets
                case NeedOctets() | Closed():
                    break
    return session.octets_to_send(), content


@pytest.mark.rfc("2920#3.2")
@given(st.lists(st.integers(1, len(PIPELINED) - 1), unique=True).map(sorted))
def test_any_cut_gives_the_same_dialogue(cuts: list[int]) -> None:
    pieces = [PIPELINED[a:b] for a, b in pairwise([0, *cuts, len(PIPELINED)])]
    assert run(pieces) == run([PIPELINED])
    assert run(pieces)[1] == b"Subject: hi\r\n\r\n.dot\r\n"


@pytest.mark.rfc("3030#2")
@given(
    st.lists(st.binary(max_size=200), max_size=5),
    st.lists(st.integers(1, 999), unique=True).map(sorted),
    st.booleans(),
)
def test_chunks_come_out_as_they_went_in(chunks: list[bytes], cuts: list[int], again: bool) -> None:
    """Content is literal, however chunks and octets are cut, and commands may follow at once."""
    wire = b"EHLO c\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\n"
    wire += b"".join(b"BDAT %d\r\n%b" % (len(c), c) for c in chunks) + b"BDAT 0 LAST\r\n"
    wire += b"MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nBDAT 5\r\nabcde" * again
    wire += b"QUIT\r\n"
    cuts = [c for c in cuts if c < len(wire)]
    said, content = run([wire[a:b] for a, b in pairwise([0, *cuts, len(wire)])])
    assert content == b"".join(chunks) + b"abcde" * again
    assert said.count(replies.CHUNK_RECEIVED.octets) == len(chunks) + again
    assert said.endswith(replies.GOODBYE.octets)


def test_what_a_failed_transaction_had_is_to_be_let_go() -> None:
    session = ServerSession(PROFILE)
    session.receive(
        b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 3\r\nabcRSET\r\n"
        b"MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 2 LAST\r\nde"
    )
    events: list[object] = []
    while not isinstance(event := session.next_event(), NeedOctets):
        if isinstance(event, Asked | ContentEnded):
            session.answer(replies.OK)
        if not isinstance(event, Asked):
            events.append(event)
    assert events == [Content(b"abc"), ContentDropped(), Content(b"de"), ContentEnded()]


@pytest.mark.rfc("3030#2")
@pytest.mark.parametrize("line", [b"BDAT", b"BDAT x", b"BDAT\t5", b"BDAT -1", b"BDAT 5 LAST x",
                                  b"BDAT 5\n", b"BDAT " + b"9" * 19, b"BDAT " + b"1" * 600])  # fmt: skip
def test_a_chunk_of_unknown_length_ends_the_dialogue(line: bytes) -> None:
    said, _ = run([b"EHLO c\r\n" + line + b"\r\nMAIL FROM:<evil@x.test>\r\n"])
    assert said.split(b"\r\n")[-2].startswith(b"50")
    assert b"\r\n250 2" not in said


@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(Channel))
def test_garbage_never_raises(pieces: list[bytes], channel: Channel) -> None:
    run(pieces, channel)


WORDS = [b"BDAT 2\r\n", b"BDAT 0 LAST", b"EHLO c", b"MAIL FROM:<a@b.test>", b"RCPT TO:<a@b.test>", b"DATA", b"RSET", b"AUTH PLAIN",
         b"AGEAYg==", b"*", b"STARTTLS", b"QUIT", b".", b"NOOP", b"x: y", b""]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=20))
def test_commands_in_any_order_never_raise(words: list[bytes]) -> None:
    run([word + b"\r\n" for word in words])


def test_nothing_overtakes_a_question() -> None:
    session = ServerSession(PROFILE, Channel.TLS)
    session.receive(b"EHLO c\r\nMAIL FROM:<a@b.test>\r\nNOOP\r\n")
    first = session.next_event()
    assert first == session.next_event()
    assert isinstance(first, Asked)
    assert isinstance(first.command, Mail)
    session.octets_to_send()
    session.answer(replies.SENDER_OK)
    session.next_event()
    assert session.octets_to_send() == replies.SENDER_OK.octets + replies.OK.octets


def test_an_answer_without_a_question_is_our_fault() -> None:
    with pytest.raises(RuntimeError):
        ServerSession(PROFILE).answer(replies.OK)


@pytest.mark.rfc("4954#4")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"NOOP " + b"x" * 600, replies.LINE_TOO_LONG),
        (b"MAIL FROM:<a@b.test> " + b"x" * 3000, replies.LINE_TOO_LONG),
        (b"AUTH PLAIN " + b"A" * 12280, replies.AUTH_LINE_TOO_LONG),
        (b"x" * 20_000, replies.LINE_TOO_LONG),
    ],
)
def test_long_lines_are_refused_once_and_the_dialogue_goes_on(
    line: bytes, reply: replies.Reply
) -> None:
    said, _ = run([b"EHLO c\r\n", line[:9000], line[9000:], b"\r\nNOOP\r\n"])
    assert said.endswith(reply.octets + replies.OK.octets)
    assert said.count(reply.octets) == 1


@pytest.mark.rfc("4954#4")
@pytest.mark.parametrize(
    "line", [b"x" * 13_000, b"AUTH PLAIN\r\n" + b"A" * 13_000], ids=["command", "response"]
)
def test_a_long_line_ends_with_its_crlf_however_that_is_cut(line: bytes) -> None:
    octets = b"EHLO c\r\n" + line + b"\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\n"
    cut = octets.index(b"\r\nMAIL") + 1
    assert run([octets[:cut], octets[cut:]]) == run([octets])
    assert run([octets])[0].count(b"250 2.0.0 OK") == 2


def test_an_auth_line_may_have_12288_octets() -> None:
    session = ServerSession(PROFILE, Channel.TLS)
    line = b"AUTH PLAIN " + b"A" * (limits.AUTH_LINE - 11)
    session.receive(b"EHLO c\r\n" + line + b"\r\n")
    assert isinstance(session.next_event(), Asked)


@pytest.mark.rfc("4954#4")
def test_a_response_over_12288_octets_ends_the_exchange() -> None:
    said, _ = run([b"EHLO c\r\nAUTH PLAIN\r\n", b"A" * 12300, b"\r\nNOOP\r\n"])
    assert said.endswith(replies.AUTH_LINE_TOO_LONG.octets + replies.OK.octets)


@pytest.mark.rfc("3207#4.2")
def test_tls_forgets_what_was_said() -> None:
    session = ServerSession(PROFILE)
    session.receive(b"EHLO spoofed\r\nSTARTTLS\r\n")
    session.next_event()
    session.answer(replies.START_TLS)
    session.tls_established()
    assert (session.client_name, session.state) == ("", State.CONNECTED)
    session.receive(b"MAIL FROM:<a@b.test>\r\n")
    session.next_event()
    assert session.octets_to_send().endswith(replies.SAY_HELLO_FIRST.octets)


def test_a_refusing_greeting_ends_it() -> None:
    session = ServerSession(PROFILE, greeting=replies.TOO_MANY_CONNECTIONS)
    assert session.next_event() == Closed()
    assert session.octets_to_send() == replies.TOO_MANY_CONNECTIONS.octets


def test_content_beyond_the_limit_is_not_kept_and_said_so_at_its_end() -> None:
    session, kept = ServerSession(PROFILE), 0
    session.receive(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n")
    for _ in range(2):
        session.next_event()
        session.answer(replies.OK)
    for _ in range(50):
        session.receive(b"x" * 98 + b"\r\n")
        while isinstance(event := session.next_event(), Content):
            kept += len(event.octets)
    session.receive(b".\r\n")
    assert isinstance(session.next_event(), ContentEnded)
    assert session.content_refusal
    assert session.content_refusal.code == replies.MESSAGE_TOO_LARGE.code
    assert kept <= PROFILE.message_size


def test_the_end_of_the_peer_is_the_end() -> None:
    session = ServerSession(PROFILE)
    session.receive(b"")
    assert session.next_event() == Closed()


def test_every_row_of_the_table_starts_from_a_state_that_reads_commands() -> None:
    reading = {State.CONNECTED, State.GREETED, *TRANSACTION}
    assert {state for state, _ in LEADS_TO} <= reading


@pytest.mark.rfc("5321#4.2.1")
def test_every_reply_is_one_line_of_printable_ascii_with_matching_class() -> None:
    for name, reply in replies.CATALOGUE.items():
        assert reply.octets.endswith(b"\r\n"), name
        assert reply.octets.count(b"\r\n") == 1, name
        assert all(32 <= octet <= 126 for octet in reply.octets[:-2]), name
        assert len(reply.octets) <= 512, name
        if reply.status:
            assert reply.status[0] == str(reply.code)[0], name


def test_what_a_client_said_cannot_break_a_reply() -> None:
    reply = replies.BAD_CONTENT.about("x\r\n250 OK" + "é" * 600)
    assert reply.octets.count(b"\r\n") == 1
    assert len(reply.octets) <= 512


@pytest.mark.parametrize(
    ("begin", "command", "turns"),
    [
        (b"", b"NOOP\r\n", 2),
        (b"", b"RSET\r\n", 2),
        (b"MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\n", b"BDAT 1\r\nx", 2),
        (b"MAIL FROM:<a@x.test>\r\n", b"RCPT TO:<b@y.test>\r\n", 2),
        (b"", b"nonsense\r\n", 0),
        (b"", "MAIL FROM:<a@\u00fc.test> SMTPUTF8\r\nRSET\r\n".encode(), 21),
    ],
    ids=["noop", "rset", "bdat", "rcpt", "nonsense", "beyond ascii"],
)
def test_many_commands_at_once_leave_others_their_turn(
    begin: bytes, command: bytes, turns: int
) -> None:
    session = ServerSession(PROFILE, Channel.TLS)
    session.receive(b"EHLO c\r\n" + begin + command * (2 * limits.COMMANDS_AT_ONCE))
    seen: list[object] = []
    while not isinstance(event := session.next_event(), NeedOctets | Closed):
        seen.append(event)
        if isinstance(event, Asked):
            session.answer(replies.OK)
    assert seen.count(TurnOver()) == turns


def test_no_turn_ends_within_a_sasl_exchange() -> None:
    session = ServerSession(PROFILE, Channel.TLS)
    session.receive(b"EHLO c\r\n" + b"NOOP\r\n" * (limits.COMMANDS_AT_ONCE - 2) + b"AUTH PLAIN\r\n")
    assert isinstance(session.next_event(), Asked)
    session.challenge(b"")
    assert session.next_event() == NeedOctets()
    session.receive(b"*\r\n")
    assert session.next_event() == Responded(None)
    session.exchange_over()
    assert session.next_event() == TurnOver()
