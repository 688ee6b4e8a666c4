"""What a probe writes down of a dialogue: everything, in order, and no secret."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.operate.probe_transcript import HIDDEN, Exchange, Transcript, Veil

PLAIN = b64encode(b"\0app\0correct horse")


def replies(transcript: Transcript) -> list[tuple[str, int | None]]:
    return [(e.said, e.reply.code if e.reply else None) for e in transcript.take()]


def test_each_line_of_a_flight_gets_its_reply_and_its_time() -> None:
    transcript = Transcript(1.0)
    transcript.heard(b"220 hello\r\n", 1.5)
    transcript.said(b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRSET\r\n", 2.0, is_login=False)
    transcript.heard(b"250 ok\r\n550-no\r\n", 2.25)
    transcript.heard(b"550 never\r\n250 fine\r\n", 3.0)
    found = transcript.take()
    assert [(e.verb, e.took) for e in found] == [
        ("", 0.5), ("MAIL", 0.25), ("RCPT", 1.0), ("RSET", 1.0),
    ]  # fmt: skip
    assert found[2].reply is not None
    assert found[2].reply.lines == ("no", "never")
    assert transcript.take() == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"AUTH PLAIN " + PLAIN, "AUTH PLAIN <secret>"),
        (b"AUTH LOGIN", "AUTH LOGIN"),
        (b"AUTH PLAIN =", "AUTH PLAIN <secret>"),
        (PLAIN, HIDDEN),
        (b"", HIDDEN),
        (b"*", "*"),
    ],
)
def test_a_login_shows_command_and_mechanism_only(line: bytes, shown: str) -> None:
    transcript = Transcript(0.0)
    transcript.heard(b"220 x\r\n", 0.0)
    transcript.take()
    transcript.said(line + b"\r\n", 0.0, is_login=True)
    transcript.heard(b"334 \r\n", 0.0)
    assert replies(transcript) == [(shown, 334)]


def test_what_has_no_reply_is_there_too() -> None:
    transcript = Transcript(0.0)
    transcript.heard(b"220 x\r\n", 0.0)
    transcript.said(b"EHLO me\r\n", 1.0, is_login=False)
    transcript.end(4.0)
    assert replies(transcript) == [("", 220), ("EHLO me", None)]


@pytest.mark.parametrize("octets", [b"HTTP/1.1 400 Bad\r\n", b"+OK POP3\r\n", b"\x15\x03\x01"])
def test_strangers_are_remembered_by_what_they_said_first(octets: bytes) -> None:
    transcript = Transcript(0.0)
    transcript.heard(octets, 0.0)
    transcript.end(1.0)
    assert transcript.strange == octets


def test_garbage_after_a_reply_is_no_stranger() -> None:
    transcript = Transcript(0.0)
    transcript.heard(b"220 hello\r\nwhat?\r\n", 0.0)
    transcript.end(1.0)
    assert transcript.strange == b""


def test_tls_begins_anew() -> None:
    transcript = Transcript(0.0)
    transcript.heard(b"220 x\r\n", 0.0)
    transcript.restart(5.0, greeted=True)
    transcript.said(b"EHLO me\r\n", 5.0, is_login=False)
    transcript.heard(b"250 x\r\n", 6.0)
    assert replies(transcript) == [("", 220), ("EHLO me", 250)]
    fresh = Transcript(0.0)
    fresh.restart(5.0, greeted=False)
    fresh.heard(b"220 x\r\n", 6.0)
    assert fresh.take()[0].took == 1.0


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_no_octets_raise(pieces: list[bytes], is_login: bool) -> None:
    transcript = Transcript(0.0)
    transcript.said(b"EHLO me\r\n", 0.0, is_login=is_login)
    for piece in pieces:
        transcript.heard(piece, 1.0)
    transcript.end(2.0)
    assert all(isinstance(e, Exchange) for e in transcript.take())


@given(st.lists(st.sampled_from([b"250 a\r\n", b"250-b\r\n250 c\r\n", b"550 5.1.1 d\r\n"])))
def test_any_cut_of_the_octets_gives_the_same(lines: list[bytes]) -> None:
    octets = b"".join(lines)
    whole, cut = Transcript(0.0), Transcript(0.0)
    whole.heard(octets, 1.0)
    for octet in octets:
        cut.heard(bytes([octet]), 1.0)
    assert [e.reply for e in whole.take()] == [e.reply for e in cut.take()]


@pytest.mark.parametrize(
    "echo",
    [
        "bad password: correct horse",
        f"AUTH PLAIN {PLAIN.decode()} is wrong",
        b64encode(b"correct horse").decode(),
        b64encode(b"user=app\x01auth=Bearer correct horse\x01\x01").decode(),
    ],
)
def test_a_server_that_repeats_the_secret_does_not_show_it(echo: str) -> None:
    shown = Veil("app", "correct horse").over(echo)
    assert "correct horse" not in shown
    assert PLAIN.decode() not in shown
    assert HIDDEN in shown


def test_without_a_secret_nothing_is_hidden() -> None:
    assert Veil().over("as it was") == "as it was"
