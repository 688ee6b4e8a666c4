"""No header field makes us read it again and again: each octet is looked at a few times at most."""

import time
from collections.abc import Callable

import pytest

from gatepost.wire.message.authentication_results import forged_fields
from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import Header, scan
from gatepost.wire.message.limits import HEADER_SECTION
from gatepost.wire.message.reencode import Capacity, reencode

LINE = 900


def _content(field: str, unit: str, size: int = HEADER_SECTION - 4096) -> bytes:
    """Return a message with one long field, folded."""
    octets = unit.encode()
    line = octets * (LINE // len(octets))
    folded = b"\r\n ".join([line] * (size // len(line)))
    return b"From: a@b.test\r\n" + field.encode() + folded + b"\r\n\r\n" + b"x" * 2000 + b"\r\n"


def _header(content: bytes) -> Header:
    header = scan(content)
    assert isinstance(header, Header)
    return header


def _forged(content: bytes) -> object:
    return forged_fields(content, _header(content), "relay.example")


def _in_ascii(content: bytes) -> object:
    return ascii_fields(content, _header(content))


def _reencoded(content: bytes) -> object:
    return reencode(content, Capacity.EIGHT_BIT)


@pytest.mark.parametrize(
    ("field", "unit", "read"),
    [
        ("Authentication-Results: (", r"\(", _forged),
        ("Authentication-Results: ", "(", _forged),
        ("Authentication-Results: ", "()", _forged),
        ("Authentication-Results: ", r"\"", _forged),
        ("Authentication-Results: ", "é", _forged),
        ("To: é ", r"\"", _in_ascii),
        ("To: é ", r"\(", _in_ascii),
        ("To: é ", "(", _in_ascii),
        ("To: é ", "<", _in_ascii),
        ("Content-Type: x; a=é", r";a=\"", _in_ascii),
        ("Content-Type: ", r"\"", _reencoded),
        ("Content-Type: (", r"\(", _reencoded),
        ('Content-Type: text/plain; a="', r"\"", _reencoded),
        ("Content-Transfer-Encoding: (", r"\(", _reencoded),
    ],
)
def test_a_field_of_nothing_but_beginnings_is_read_at_once(
    field: str, unit: str, read: Callable[[bytes], object]
) -> None:
    content = _content(field, unit)
    began = time.thread_time()
    read(content)
    assert time.thread_time() - began < 0.5


def test_many_results_in_names_beyond_ascii_are_read_at_once() -> None:
    line = b"Authentication-Results: " + ("é." * 40).encode() + b"\r\n"
    content = b"From: a@b.test\r\n" + line * 900 + b"\r\n"
    began = time.thread_time()
    forged = forged_fields(content, _header(content), "relay.example")
    assert time.thread_time() - began < 0.5
    assert len(forged) == 850  # those behind the fiftieth are not read, and go


@pytest.mark.parametrize(
    ("value", "is_ours"),
    [
        (rb"relay.example; spf=pass", True),
        (rb"(a\)b) relay.example; spf=pass", True),
        (rb"(a\\) relay.example; spf=pass", True),
        (rb"(\") relay.example; spf=pass", True),
        (rb'"relay.ex\ample"; spf=pass', True),
        (rb"(a (b (c)) d) RELAY.example 1; spf=pass", True),
        (rb"(never closed relay.example; spf=pass", True),
        (b"relay" + "\u00ad".encode() * 300 + b".example; spf=pass", True),
        (rb"other.example; (a\)b) spf=pass", False),
        (rb'"relay\".example"; spf=pass', False),
        (b"relay." + b"x" * 300 + b".example; spf=pass", False),
    ],
)
def test_who_says_so_is_told_behind_any_comment(value: bytes, is_ours: bool) -> None:
    content = b"From: a@b.test\r\nAuthentication-Results: " + value + b"\r\n\r\n"
    assert bool(_forged(content)) is is_ours
