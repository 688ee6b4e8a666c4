"""Our own header fields: what they may say, and that none leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.reception.fixups import Completed, Facts, complete
from gatepost.reception.instructions import JUDGE_FIELD, KEY_FIELD, digest_of, is_trial, key_of
from gatepost.wire.message.trace import Hop
from gatepost.wire.smtp.replies import Reply
from tests.support.reception import NOON

FACTS = Facts(Hop("c", "192.0.2.1", "relay.test", "1", NOON, "ESMTPSA"), True, "a@x.example")


@pytest.mark.parametrize(
    ("body", "key"), [(b"order-4711", "order-4711"), (b" k ", "k"), (b"x" * 200, "x" * 200)]
)
def test_a_key(body: bytes, key: str) -> None:
    assert key_of({KEY_FIELD: body}) == key


@pytest.mark.parametrize("body", [b"", b" ", b"a b", b"x" * 201, b"\xff", b"a\tb", b"\x7f"])
def test_no_key(body: bytes) -> None:
    assert isinstance(key_of({KEY_FIELD: body}), Reply)


def test_without_fields_nothing_is_asked() -> None:
    assert key_of({}) is None
    assert is_trial({}) is False
    assert is_trial({JUDGE_FIELD: b"Yes"}) is True
    assert isinstance(is_trial({JUDGE_FIELD: b"1"}), Reply)


def test_our_fields_are_cut_out() -> None:
    content = (
        b"From: a@x.example\r\nGATEPOST-Judge:\r\n yes\r\nSubject: hello\r\n"
        b"Gatepost-Idempotency-Key: k\r\n\r\nGatepost-Judge: in the body\r\n"
    )
    done = complete(content, FACTS)
    assert isinstance(done, Completed)
    assert done.instructions == {JUDGE_FIELD: b"yes", KEY_FIELD: b"k"}
    left = b"From: a@x.example\r\nSubject: hello\r\n\r\nGatepost-Judge: in the body\r\n"
    assert b"".join(done.pieces) == left


CONTENT = b"From: a@x\r\nDate: today\r\nSubject: s\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"
SAME = [
    CONTENT.replace(b"today", b"tomorrow"),
    CONTENT.replace(b"<1@x>", b"<2@x>"),
    CONTENT.replace(b"Date: today\r\n", b""),
]
OTHER = [
    CONTENT.replace(b"body", b"b0dy"),
    CONTENT.replace(b": s", b": t"),
    CONTENT + b"\r\n",
    CONTENT.replace(b"\r\n\r\n", b"\r\n"),
]


@pytest.mark.parametrize("content", SAME)
def test_the_same_message(content: bytes) -> None:
    assert digest_of(("a", "b"), content) == digest_of(("a", "b"), CONTENT)


@pytest.mark.parametrize("content", OTHER)
def test_another_message(content: bytes) -> None:
    assert digest_of(("a", "b"), content) != digest_of(("a", "b"), CONTENT)


def test_the_envelope_counts() -> None:
    assert digest_of(("a", "b"), CONTENT) != digest_of(("a", "c"), CONTENT)


@given(st.binary())
def test_whatever_the_content_is(content: bytes) -> None:
    assert len(digest_of(("a",), content)) == 32
