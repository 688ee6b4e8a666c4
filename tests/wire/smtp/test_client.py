"""The client's transactions, as scripts: S: the server says, C: we must have said."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import (
    ContentWanted,
    Dialect,
    Ended,
    Envelope,
    Event,
    Fault,
    FaultKind,
    NeedOctets,
    Phase,
    Ready,
    TransactionEnded,
)
from gatepost.wire.smtp.reply_reader import Answered, ServerReply
from tests.wire.smtp.client_talk import PIPELINED, PLAIN, TWO, Talk, codes


@pytest.mark.rfc("2920#3.1")
def test_a_pipelined_transaction_is_one_flight() -> None:
    talk = Talk()
    assert talk.begin(TWO) == (
        b"MAIL FROM:<a@x.example> SIZE=5\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\n"
        b"DATA\r\n"
    )
    assert talk.hear(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n") == [ContentWanted()]
    assert talk.session.phase is Phase.CONTENT
    assert talk.content(b".hi\r\n") == b"..hi\r\n.\r\n"
    assert talk.session.phase is Phase.FINAL_DOT
    assert codes(*talk.hear(b"250 2.0.0 queued\r\n")) == [250, 250]
    assert talk.session.phase is Phase.READY
    assert talk.begin().startswith(b"MAIL")


def test_without_pipelining_each_command_waits_for_its_reply() -> None:
    talk = Talk(PLAIN)
    assert talk.begin(TWO) == b"MAIL FROM:<a@x.example>\r\n"
    talk.hear(b"250 ok\r\n")
    assert talk.said() == b"RCPT TO:<b@y.example>\r\n"
    talk.hear(b"550 no\r\n")
    assert talk.said() == b"RCPT TO:<c@y.example>\r\n"
    talk.hear(b"250 ok\r\n")
    assert talk.said() == b"DATA\r\n"
    assert talk.hear(b"354 go\r\n") == [ContentWanted()]
    talk.content()
    assert codes(*talk.hear(b"250 ok\r\n")) == [550, 250]


REFUSALS = [  # what the server says -> verdicts, what is said next
    (b"250 ok\r\n550 no\r\n450 later\r\n503 none\r\n", [550, 450], b""),
    (b"550 not you\r\n503 x\r\n503 x\r\n503 x\r\n", [550, 550], b""),
    (b"250 ok\r\n250 ok\r\n550 no\r\n451 not now\r\n", [451, 550], b""),
    (b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n554 none\r\n", [550, 550], b".\r\n"),
]


@pytest.mark.rfc("2920#3.1")
@pytest.mark.parametrize(("heard", "verdicts", "said"), REFUSALS)
def test_no_content_where_nobody_is_accepted(
    heard: bytes, verdicts: list[int | FaultKind], said: bytes
) -> None:
    talk = Talk()
    talk.begin(TWO)
    (event,) = talk.hear(heard)
    assert codes(event) == verdicts
    assert talk.said() == said
    assert talk.begin().startswith(b"RSET\r\nMAIL FROM:")
    assert talk.hear(b"250 flushed\r\n250 ok\r\n250 ok\r\n354 go\r\n") == [ContentWanted()]


NONSENSE = [  # what the server says: nothing in it is a "yes", and the session is not to be trusted
    b"250 ok\r\n250 ok\r\n250 ok\r\n250 what\r\n",
    b"250 once\r\n250 twice\r\n250 ok\r\n250 ok\r\n354 go\r\n",
    b"354 go\r\n",
    b"250 ok\r\n334 x\r\n",
    b"250 ok\r\n250 ok\r\n250 ok\r\n334 x\r\n",
]


@pytest.mark.rfc("5321#4.2.1")
@pytest.mark.parametrize("heard", NONSENSE)
def test_a_reply_in_the_wrong_place_ends_the_session(heard: bytes) -> None:
    talk = Talk()
    talk.begin(TWO)
    ended, over = talk.hear(heard)
    assert codes(ended) == [FaultKind.GARBAGE] * 2
    assert isinstance(over, Ended)


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("early", [b"250 got it\r\n", b"2", b"354 go\r\n"])
def test_a_yes_that_came_before_the_final_dot_is_no_yes(early: bytes, dialect: Dialect) -> None:
    talk = Talk(dialect=dialect)
    talk.begin()
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    talk.session.receive(early)
    talk.content()
    ended, over = talk.hear(b"50 got it\r\n" if early == b"2" else b"")
    assert codes(ended) == [FaultKind.GARBAGE]
    assert isinstance(over, Ended)


def test_a_no_may_come_before_the_final_dot() -> None:
    talk = Talk()
    talk.begin()
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    talk.session.receive(b"552 5.3.4 too large\r\n")
    talk.content()
    ended = talk.session.next_event()
    assert codes(ended) == [552]
    # Perhaps it answered something else: of its one recipient it says nothing.
    assert [verdict.answered for verdict in ended.verdicts] == [Answered.CONTENT]


def test_replies_too_many_stay_unread() -> None:
    talk = Talk()
    talk.begin()
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    talk.content()
    talk.session.receive(b"250 got it\r\n250 and once more\r\n")
    assert codes(talk.session.next_event()) == [250]
    assert talk.session.unread == len(b"250 and once more\r\n")


def test_without_pipelining_a_refused_mail_ends_the_transaction_at_once() -> None:
    talk = Talk(PLAIN)
    talk.begin(TWO)
    assert codes(*talk.hear(b"550 not you\r\n")) == [550, 550]
    assert talk.said() == b""
    assert talk.begin() == b"RSET\r\n"


MAIL_OK, ALL_OK = b"250 ok\r\n", b"250 ok\r\n" * 3 + b"354 go\r\n"
ANSWERED = [  # dialect, what is heard up to DATA, what after the content -> what each refusal answered
    (Dialect.SMTP, b"550 5.1.1 x\r\n" + b"503 x\r\n" * 3, b"", [Answered.MAIL] * 2),
    (Dialect.SMTP, MAIL_OK + b"550 5.1.1 x\r\n" * 2 + b"503 x\r\n", b"", [Answered.RCPT] * 2),
    (Dialect.SMTP, MAIL_OK * 3 + b"550 5.1.1 x\r\n", b"", [Answered.DATA] * 2),
    (Dialect.SMTP, ALL_OK, b"550 5.1.1 x\r\n", [Answered.CONTENT] * 2),
    (Dialect.SMTP, MAIL_OK * 2 + b"550 x\r\n354 go\r\n", b"550 5.1.1 x\r\n",
     [Answered.CONTENT_FOR_ONE, Answered.RCPT]),
    (Dialect.LMTP, ALL_OK, b"550 5.1.1 x\r\n" * 2, [Answered.CONTENT_FOR_ONE] * 2),
    (Dialect.SMTP, ALL_OK, b"250 ok\r\n", [Answered.UNSAID] * 2),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "heard", "then", "answered"), ANSWERED)
def test_a_refusal_knows_what_it_answered(
    dialect: Dialect, heard: bytes, then: bytes, answered: list[Answered]
) -> None:
    talk = Talk(dialect=dialect)
    talk.begin(TWO)
    events = talk.hear(heard)
    if then:
        talk.content()
        events = talk.hear(then)
    (event,) = events
    assert isinstance(event, TransactionEnded)
    assert [v.answered for v in event.verdicts if isinstance(v, ServerReply)] == answered


def test_lmtp_replies_once_for_each_accepted_recipient() -> None:
    talk = Talk(dialect=Dialect.LMTP)
    three = Envelope("", ("a@y.example", "b@y.example", "c@y.example"))
    assert talk.begin(three).startswith(b"MAIL FROM:<>\r\n")
    talk.hear(b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n")
    talk.content()
    assert talk.hear(b"250 stored\r\n") == []
    assert codes(*talk.hear(b"452 full\r\n")) == [250, 550, 452]
    assert talk.begin().startswith(b"MAIL")


def test_lmtp_lost_between_two_replies_loses_only_the_second() -> None:
    talk = Talk(dialect=Dialect.LMTP)
    talk.begin(TWO)
    talk.hear(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    talk.content()
    talk.hear(b"250 stored\r\n")
    ended, over = talk.hear(b"")
    assert codes(ended) == [250, FaultKind.LOST]
    assert isinstance(over, Ended)


FAR = [  # how far it came -> the phase in which it was lost
    (b"", Phase.MAIL),
    (b"250 ok\r\n", Phase.RCPT),
    (b"250 ok\r\n250 ok\r\n", Phase.DATA),
    (b"250 ok\r\n250 ok\r\n354 go\r\n", Phase.CONTENT),
]


@pytest.mark.parametrize(("heard", "phase"), FAR)
def test_a_lost_connection_says_how_far_it_came(heard: bytes, phase: Phase) -> None:
    talk = Talk()
    talk.begin()
    talk.session.receive(heard)
    *_, ended, over = [e for e in talk.hear(b"") if not isinstance(e, ContentWanted)]
    assert isinstance(ended, TransactionEnded)
    assert ended.verdicts == (Fault(FaultKind.LOST, phase, "connection lost"),)
    assert isinstance(over, Ended)


def test_lost_after_the_final_dot_is_told_apart() -> None:
    talk = Talk()
    talk.begin()
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    talk.content()
    ended, _ = talk.hear(b"")
    assert ended == TransactionEnded((Fault(FaultKind.LOST, Phase.FINAL_DOT, "connection lost"),))


@pytest.mark.rfc("5321#3.8")
@pytest.mark.parametrize("before", [b"", b"250 ok\r\n", b"250 ok\r\n250 ok\r\n"])
def test_421_ends_the_session_at_any_point(before: bytes) -> None:
    talk = Talk()
    talk.begin()
    ended, over = talk.hear(before + b"421 4.3.2 going down\r\n")
    assert codes(ended) == [421]
    assert over == Ended(ServerReply(421, "4.3.2", ("going down",)))
    assert talk.session.next_event() == over


def test_421_to_an_idle_session_ends_it() -> None:
    assert Talk().hear(b"421 idle\r\n") == [Ended(ServerReply(421, "", ("idle",)))]


def test_a_refusal_before_our_dot_counts_when_the_server_then_leaves() -> None:
    talk = Talk()
    talk.begin()
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    talk.session.send_content(b"begin")
    assert talk.hear(b"552 5.3.4 too big\r\n") == []
    ended, _ = talk.hear(b"")
    assert codes(ended) == [552]


def test_a_refusal_before_our_dot_is_read_as_the_reply_to_it() -> None:
    talk = Talk()
    talk.begin()
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert talk.hear(b"552 5.3.4 too big\r\n") == []
    talk.content()
    assert codes(talk.session.next_event()) == [552]


@pytest.mark.rfc("1870#4")
def test_content_beyond_the_announced_limit_is_not_offered() -> None:
    talk = Talk()
    assert talk.begin(Envelope("", ("b@y.example",), size=1001)) == b""
    assert codes(talk.session.next_event()) == [FaultKind.TOO_LARGE]
    assert talk.begin().startswith(b"MAIL")


@pytest.mark.rfc("6152#3")
def test_eight_bit_content_is_announced_or_not_sent() -> None:
    eight = Envelope("", ("b@y.example",), eight_bit=True)
    assert Talk().begin(eight).startswith(b"MAIL FROM:<> BODY=8BITMIME\r\n")
    talk = Talk(PLAIN)
    assert talk.begin(eight) == b""
    assert codes(talk.session.next_event()) == [FaultKind.NEEDS_EIGHT_BIT]


@pytest.mark.parametrize("path", ["a\r\nRSET", "a>", "ä@x.example", "a\0b"])
def test_a_path_cannot_smuggle_a_command(path: str) -> None:
    with pytest.raises(ValueError):
        Talk().begin(Envelope("", (path,)))


def test_quit_is_answered_by_the_end() -> None:
    talk = Talk()
    talk.session.quit()
    assert talk.said() == b"QUIT\r\n"
    assert talk.hear(b"221 bye\r\n") == [Ended(ServerReply(221, "", ("bye",)))]


def test_garbage_ends_the_session() -> None:
    talk = Talk()
    talk.begin()
    ended, over = talk.hear(b"HTTP/1.1 400 Bad Request\r\n")
    assert codes(ended) == [FaultKind.GARBAGE]
    assert isinstance(over, Ended)


UP_TO_THE_DOT = b"220 mx\r\n" + PIPELINED + b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n"
BEHIND_THE_DOT = b"250 done\r\n421 bye\r\n"


def run(pieces: list[bytes]) -> tuple[bytes, list[Event]]:
    session = ClientSession("me.example")
    said, events = [], list[Event]()
    then: dict[type, Callable[[], None]] = {
        Ready: lambda: session.begin(TWO),
        ContentWanted: lambda: (session.send_content(b".x"), session.end_content())[1],
    }
    for piece in pieces:
        session.receive(piece)
        while not isinstance(event := session.next_event(), NeedOctets):
            events.append(event)
            if isinstance(event, Ended):
                break
            then.get(type(event), lambda: None)()
        said.append(session.octets_to_send())
    return b"".join(said), events


@given(
    st.lists(st.integers(1, len(UP_TO_THE_DOT) - 1), unique=True).map(sorted),
    st.lists(st.integers(1, len(BEHIND_THE_DOT) - 1), unique=True).map(sorted),
)
def test_any_cut_gives_the_same_dialogue(before: list[int], behind: list[int]) -> None:
    pieces = [UP_TO_THE_DOT[a:b] for a, b in pairwise([0, *before, len(UP_TO_THE_DOT)])]
    pieces += [BEHIND_THE_DOT[a:b] for a, b in pairwise([0, *behind, len(BEHIND_THE_DOT)])]
    assert run(pieces) == run([UP_TO_THE_DOT, BEHIND_THE_DOT])
    assert [type(e) for e in run(pieces)[1]] == [Ready, ContentWanted, TransactionEnded, Ended]


@given(
    st.lists(
        st.sampled_from(
            [b"250 ok\r\n", b"354 x\r\n", b"550-x\r\n", b"450 x\r\n", b"220 x\r\n", b"", b"\xff"]
        )
        | st.binary(max_size=20),
        max_size=12,
    )
)
def test_no_server_can_make_it_raise(pieces: list[bytes]) -> None:
    run(pieces)


BINARY = b"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 SMTPUTF8\r\n"


@pytest.mark.rfc("3030#2")
def test_binary_content_is_one_chunk() -> None:
    talk = Talk(BINARY)
    envelope = Envelope("a@x.example", ("b@y.example", "c@y.example"), 4, binary=True)
    assert talk.begin(envelope).endswith(
        b" BODY=BINARYMIME\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\n"
    )
    assert talk.hear(b"250 ok\r\n550 no\r\n250 ok\r\n") == [ContentWanted()]
    assert talk.said() == b"BDAT 4 LAST\r\n"
    assert talk.content(b".\n\0\r") == b".\n\0\r"
    assert codes(*talk.hear(b"250 ok\r\n")) == [550, 250]
    assert talk.session.phase is Phase.READY


def test_a_chunk_is_as_long_as_it_says() -> None:
    talk = Talk(BINARY)
    talk.begin(Envelope("", ("b@y.example",), 4, binary=True))
    talk.hear(b"250 ok\r\n250 ok\r\n")
    talk.session.send_content(b"abc")
    with pytest.raises(ValueError, match="chunk"):
        talk.session.end_content()


def test_no_chunk_where_nobody_is_accepted() -> None:
    talk = Talk(BINARY)
    talk.begin(Envelope("", ("b@y.example",), 4, binary=True))
    assert codes(*talk.hear(b"250 ok\r\n550 no\r\n")) == [550]
    assert talk.begin().startswith(b"RSET\r\nMAIL")


@pytest.mark.rfc("6531#3.4")
def test_addresses_in_utf8_need_smtputf8() -> None:
    envelope = Envelope("é@x.example", ("ü@y.example",), utf8=True)
    assert Talk(BINARY).begin(envelope) == (
        "MAIL FROM:<é@x.example> SMTPUTF8\r\nRCPT TO:<ü@y.example>\r\nDATA\r\n".encode()
    )
    talk = Talk(PIPELINED)
    assert talk.begin(envelope) == b""
    assert codes(talk.session.next_event()) == [FaultKind.NEEDS_UTF8]
    with pytest.raises(ValueError, match="fit"):
        Talk(BINARY).begin(Envelope("é@x.example", ("b@y.example",)))
    talk = Talk(PIPELINED)
    talk.begin(Envelope("", ("b@y.example",), binary=True))
    assert codes(talk.session.next_event()) == [FaultKind.NEEDS_BINARY]
