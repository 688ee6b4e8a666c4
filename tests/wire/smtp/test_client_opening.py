"""How a client's session begins: greeting, hello, STARTTLS, login."""

import pytest

from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import (
    Ended,
    Event,
    Fault,
    FaultKind,
    LoggedIn,
    LoginRefused,
    Phase,
    Ready,
    TlsAccepted,
    TlsRefused,
    TransactionEnded,
)
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.reply_reader import Answered, ServerReply
from tests.wire.smtp.client_talk import Talk


@pytest.mark.rfc("5321#3.1")
def test_a_refused_greeting_ends_the_session() -> None:
    talk = Talk(None)
    refused = ServerReply(554, "", ("no",), Answered.SESSION)
    assert talk.hear(b"554 no\r\n") == [Ended(refused)]
    assert not talk.session.greeted


@pytest.mark.rfc("5321#4.1.1.1")
def test_helo_where_ehlo_is_unknown() -> None:
    talk = Talk(None)
    talk.hear(b"220 hi\r\n")
    talk.said()
    assert talk.hear(b"502 what\r\n") == []
    assert talk.said() == b"HELO me.example\r\n"
    (ready,) = talk.hear(b"250-mx\r\n250 PIPELINING\r\n")
    assert isinstance(ready, Ready)
    assert not ready.offers.pipelining


def test_both_hellos_refused_ends_the_session() -> None:
    talk = Talk(None)
    talk.hear(b"220 hi\r\n")
    refused = ServerReply(550, "", ("no",), Answered.SESSION)
    assert talk.hear(b"550 no\r\n550 no\r\n") == [Ended(refused)]


@pytest.mark.rfc("3207#4.2")
def test_nothing_before_tls_is_remembered() -> None:
    talk = Talk()
    talk.session.start_tls()
    assert talk.said() == b"STARTTLS\r\n"
    assert talk.hear(b"220 go\r\n") == [TlsAccepted()]
    talk.session.tls_established()
    assert talk.said() == b"EHLO me.example\r\n"
    assert not talk.session.offers.pipelining
    (ready,) = talk.hear(b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n")
    assert isinstance(ready, Ready)
    assert ready.offers.mechanisms == ("PLAIN", "LOGIN")


def test_a_refused_starttls_goes_on_in_clear() -> None:
    talk = Talk()
    talk.session.start_tls()
    talk.said()
    assert talk.hear(b"454 not now\r\n") == [TlsRefused(ServerReply(454, "", ("not now",)))]
    assert talk.begin().startswith(b"MAIL")


@pytest.mark.rfc("3207#6")
def test_octets_behind_the_reply_to_starttls_end_the_session() -> None:
    talk = Talk()
    talk.session.start_tls()
    (over,) = talk.hear(b"220 go\r\n250 injected\r\n")
    assert isinstance(over, Ended)
    assert isinstance(over.cause, Fault)
    assert over.cause.kind is FaultKind.GARBAGE


def in_tls(mechanisms: bytes) -> Talk:
    talk = Talk(None)
    talk.session = ClientSession("me.example", channel=Channel.TLS)
    talk.hear(b"220 hi\r\n250-mx\r\n250 AUTH " + mechanisms + b"\r\n")
    talk.said()
    return talk


@pytest.mark.rfc("4954#4")
@pytest.mark.parametrize(
    ("mechanisms", "wanted", "first", "then"),
    [
        (b"LOGIN PLAIN", None, b"AUTH PLAIN AHUAcA==\r\n", []),
        (b"LOGIN", None, b"AUTH LOGIN\r\n", [b"dQ==\r\n", b"cA==\r\n"]),
        (b"LOGIN PLAIN", "LOGIN", b"AUTH LOGIN\r\n", [b"dQ==\r\n", b"cA==\r\n"]),
    ],
)
def test_login(mechanisms: bytes, wanted: str | None, first: bytes, then: list[bytes]) -> None:
    talk = in_tls(mechanisms)
    talk.session.log_in("u", "p", wanted)
    assert talk.said() == first
    for response in then:
        assert talk.hear(b"334 VXNlcm5hbWU6\r\n") == []
        assert talk.said() == response
    assert talk.hear(b"235 fine\r\n") == [LoggedIn()]
    assert talk.session.phase is Phase.READY


def test_a_refused_login_is_told() -> None:
    talk = in_tls(b"PLAIN")
    talk.session.log_in("u", "p")
    assert talk.hear(b"535 5.7.8 no\r\n") == [LoginRefused(ServerReply(535, "5.7.8", ("no",)))]


ECHOES = [  # mechanisms, what the server says of our line, what is told of it
    (b"PLAIN", b"500 5.5.1 unrecognized: AUTH PLAIN %b", "unrecognized: AUTH PLAIN <secret>"),
    (b"PLAIN", b"500 5.5.1 what is '%.20b", "what is '<secret>"),
    (b"PLAIN", b"535-5.7.8 of %b\r\n535 5.7.8 no", "of <secret> no"),
    (b"PLAIN", b"535 5.7.8 sesame-And-more is wrong", "<secret> is wrong"),
    (b"PLAIN", b"535 5.7.8 user: u password: sesame-and-more.", "user: u password: <secret>."),
    (b"LOGIN", b"500 5.5.1 unrecognized: %b", "unrecognized: <secret>"),
    (b"PLAIN", b"535 5.7.8 go to https://support.example/login-help-0123456789",
     "go to https://support.example/login-help-0123456789"),
]  # fmt: skip


@pytest.mark.parametrize(("mechanisms", "echo", "told"), ECHOES)
@pytest.mark.parametrize("upper", [False, True])
def test_what_was_said_to_log_in_is_told_nowhere(
    mechanisms: bytes, echo: bytes, told: str, upper: bool
) -> None:
    talk = in_tls(mechanisms)
    talk.session.log_in("u", "sesame-and-more")
    line = talk.said()
    if mechanisms == b"LOGIN":
        talk.hear(b"334 VXNlcm5hbWU6\r\n")
        talk.said()
        talk.hear(b"334 UGFzc3dvcmQ6\r\n")
        line = talk.said()
    said = line.split()[-1]
    said = said.upper() if upper else said
    (event,) = talk.hear((echo % said if b"%" in echo else echo) + b"\r\n")
    assert isinstance(event, LoginRefused)
    assert event.reply is not None
    assert event.reply.text == told


@pytest.mark.parametrize("password", ["p", "sesame-and-more"])
def test_what_was_said_to_log_in_is_told_nowhere_later(password: str) -> None:
    talk = in_tls(b"PLAIN")
    talk.session.log_in("u", password)
    said = talk.said().split()[-1]
    assert talk.hear(b"235 hello " + said + b"\r\n") == [LoggedIn()]
    talk.begin()
    talk.hear(b"250 ok\r\n")
    talk.said()
    (event,) = talk.hear(b"550 you said " + said + b", that is " + password.encode() + b"\r\n")
    assert isinstance(event, TransactionEnded)
    (verdict,) = event.verdicts
    assert isinstance(verdict, ServerReply)
    assert said.decode() not in verdict.text
    assert password not in verdict.text.replace("<secret>", "")


def test_a_login_without_a_mechanism_in_common_says_so() -> None:
    talk = in_tls(b"GSSAPI")
    talk.session.log_in("u", "p")
    assert talk.session.next_event() == LoginRefused(None)


def test_a_senseless_challenge_is_cancelled() -> None:
    talk = in_tls(b"PLAIN")
    talk.session.log_in("u", "p")
    talk.said()
    assert talk.hear(b"334 what?\r\n") == []
    assert talk.said() == b"*\r\n"
    assert isinstance(talk.hear(b"334 and now?\r\n")[0], Ended)


def test_challenges_without_end_end_the_session() -> None:
    talk = in_tls(b"LOGIN")
    talk.session.log_in("u", "p")
    events: list[Event] = []
    for _ in range(5):
        events += talk.hear(b"334 VXNlcm5hbWU6\r\n")
        if events:
            break
    (over,) = events
    assert isinstance(over, Ended)
    assert isinstance(over.cause, Fault)


def test_no_login_in_clear() -> None:
    with pytest.raises(RuntimeError):
        Talk().session.log_in("u", "p")
