"""PLAIN and LOGIN, message by message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.sasl.exchange import (
    Challenge,
    ChannelFacts,
    CheckPassword,
    Denied,
    Exchange,
    Fault,
    Granted,
    Verdict,
)
from gatepost.wire.sasl.mechanisms import MECHANISMS

PASSWORDS = {"tim": "tanstaaftanstaaf", "kurt": "xipj3plmq", "jürgen": "pässwörd"}


def play(exchange: Exchange, *responses: bytes) -> tuple[list[bytes], Verdict]:
    """Run an exchange with these responses; return the challenges and the verdict."""
    challenges: list[bytes] = []
    left = list(responses)
    ask = next(exchange)
    try:
        while True:
            match ask:
                case Challenge(octets):
                    challenges.append(octets)
                    ask = exchange.send(left.pop(0))
                case CheckPassword(authcid, password):
                    ask = exchange.send(PASSWORDS.get(authcid) == password)
    except StopIteration as end:
        return challenges, end.value


def plain(message: bytes) -> Verdict:
    challenges, verdict = play(MECHANISMS["PLAIN"].start(ChannelFacts()), message)
    assert challenges == [b""]
    return verdict


def login(name: bytes, password: bytes) -> Verdict:
    challenges, verdict = play(MECHANISMS["LOGIN"].start(ChannelFacts()), name, password)
    assert challenges == [b"Username:", b"Password:"]
    return verdict


def test_mechanisms_are_found_by_their_files() -> None:
    assert set(MECHANISMS) == {"PLAIN", "LOGIN"}
    for name, mechanism in MECHANISMS.items():
        assert mechanism.name == name
        assert mechanism.needs_tls
        assert mechanism.client_first


@pytest.mark.rfc("4616#4")
def test_examples_of_the_rfc() -> None:
    assert plain(b"\0tim\0tanstaaftanstaaf") == Granted("tim")
    assert plain(b"Ursel\0Kurt\0xipj3plmq") == Denied(Fault.AUTHZID, "kurt")


@pytest.mark.rfc("4616#2")
@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (b"tim\0tim\0tanstaaftanstaaf", Granted("tim")),
        (b"TIM\0tim\0tanstaaftanstaaf", Granted("tim")),
        (b"\0TIM\0tanstaaftanstaaf", Granted("tim")),
        (b"\0ti\xc2\xadm\0tanstaaftanstaaf", Granted("tim")),
        ("\0Jürgen\0pässwörd".encode(), Granted("jürgen")),
        ("\0Ju\u0308rgen\0pa\u0308sswo\u0308rd".encode(), Granted("jürgen")),
        (b"\0tim\0wrong", Denied(Fault.CREDENTIALS, "tim")),
        (b"\0nobody\0tanstaaftanstaaf", Denied(Fault.CREDENTIALS, "nobody")),
        (b"kurt\0tim\0wrong", Denied(Fault.CREDENTIALS, "tim")),
        (b"", Denied(Fault.MALFORMED)),
        (b"tim", Denied(Fault.MALFORMED)),
        (b"tim\0tanstaaftanstaaf", Denied(Fault.MALFORMED)),
        (b"\0tim\0tanstaaftanstaaf\0", Denied(Fault.MALFORMED)),
        (b"\0\0tanstaaftanstaaf", Denied(Fault.MALFORMED)),
        (b"\0tim\0", Denied(Fault.MALFORMED, "tim")),
        (b"\0tim\0\xc2\xad", Denied(Fault.MALFORMED, "tim")),
        (b"\0t\xffm\0x", Denied(Fault.MALFORMED)),
        (b"\0tim\0a\nb", Denied(Fault.MALFORMED)),
    ],
)
def test_plain(message: bytes, verdict: Verdict) -> None:
    assert plain(message) == verdict


@pytest.mark.parametrize(
    ("name", "password", "verdict"),
    [
        (b"tim", b"tanstaaftanstaaf", Granted("tim")),
        (b"Tim", b"tanstaaftanstaaf", Granted("tim")),
        (b"tim", b"wrong", Denied(Fault.CREDENTIALS, "tim")),
        (b"", b"x", Denied(Fault.MALFORMED)),
        (b"tim", b"", Denied(Fault.MALFORMED, "tim")),
        (b"t\0m", b"x", Denied(Fault.MALFORMED)),
        (b"tim", b"\xff", Denied(Fault.MALFORMED)),
    ],
)
def test_login(name: bytes, password: bytes, verdict: Verdict) -> None:
    assert login(name, password) == verdict


def test_a_password_does_not_show_in_an_ask() -> None:
    assert "hunter2" not in repr(CheckPassword("tim", "hunter2"))


@given(st.binary(max_size=60))
def test_garbage_is_denied_and_never_raises(message: bytes) -> None:
    assert isinstance(plain(message), Denied)
    assert isinstance(login(message, message), Denied)
