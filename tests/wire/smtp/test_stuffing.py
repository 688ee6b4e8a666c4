"""Leading dots are doubled, however content is cut (RFC 5321 §4.5.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp.framing import ContentReader
from gatepost.wire.smtp.stuffing import DotStuffer

CASES = [
    ([b"a\r\n"], b"a\r\n.\r\n"),
    ([b"a"], b"a\r\n.\r\n"),
    ([], b".\r\n"),
    ([b".\r\n"], b"..\r\n.\r\n"),
    ([b"a\r\n", b".b\r\n"], b"a\r\n..b\r\n.\r\n"),
    ([b"a\r", b"\n.b\r\n"], b"a\r\n..b\r\n.\r\n"),
    ([b"a\r", b"\n", b".b\r\n"], b"a\r\n..b\r\n.\r\n"),
    ([b"a\r\n.\r\nb\r\n"], b"a\r\n..\r\nb\r\n.\r\n"),
    ([b"a.b\r\n"], b"a.b\r\n.\r\n"),
    ([b"a\n.b\r\n"], b"a\n.b\r\n.\r\n"),
]


def stuffed(pieces: list[bytes]) -> bytes:
    stuffer = DotStuffer()
    return b"".join([*(stuffer.stuff(p) for p in pieces), stuffer.end()])


@pytest.mark.rfc("5321#4.5.2")
@pytest.mark.parametrize(("pieces", "expected"), CASES)
def test_stuffing(pieces: list[bytes], expected: bytes) -> None:
    assert stuffed(pieces) == expected


@given(st.lists(st.text(alphabet="\r\n.a", max_size=6).map(str.encode), max_size=8))
def test_what_is_stuffed_reads_back_as_it_was(pieces: list[bytes]) -> None:
    reader = ContentReader()
    content = b"".join(pieces)
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    assert reader.feed(stuffed(pieces)) == content
    assert reader.ended
    assert reader.rest == b""


def test_clean_content_is_not_copied() -> None:
    piece = b"clean\r\n" * 10
    assert DotStuffer().stuff(piece) is piece
