"""However the octets are cut, the lines and the content are the same."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp.framing import ContentReader, LineBuffer

CONTENT_CASES = [  # on the wire -> content, rest
    (b".\r\n", b"", b""),
    (b"a\r\n.\r\n", b"a\r\n", b""),
    (b"..a\r\n.\r\nQUIT\r\n", b".a\r\n", b"QUIT\r\n"),
    (b"a\r\n..\r\n.b\r\n.\r\n", b"a\r\n.\r\nb\r\n", b""),
    (b"a\n.\n.\r\nb\r\n.\r\n", b"a\n.\n.\r\nb\r\n", b""),  # LF.LF never ends content
    (b"a\r.\r\n.\r\n", b"a\r.\r\n", b""),
    (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", b""),
    (b"\r\n\r\n.\r\n", b"\r\n\r\n", b""),
    (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", b""),
    (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n", b""),
]


def read(pieces: list[bytes]) -> tuple[bytes, bytes]:
    reader, content, rest = ContentReader(), b"", b""
    for piece in pieces:
        if reader.ended:
            rest += piece
        else:
            content += reader.feed(piece)
            rest += reader.rest
    assert reader.ended
    return content, rest


@pytest.mark.rfc("5321#4.5.2")
@pytest.mark.parametrize(("wire", "content", "rest"), CONTENT_CASES)
def test_content_is_unstuffed_up_to_its_end(wire: bytes, content: bytes, rest: bytes) -> None:
    assert read([wire]) == (content, rest)


@pytest.mark.parametrize(("wire", "content", "rest"), CONTENT_CASES)
def test_one_octet_at_a_time_gives_the_same(wire: bytes, content: bytes, rest: bytes) -> None:
    assert read([wire[i : i + 1] for i in range(len(wire))]) == (content, rest)


@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b".\r\n", b".."]), max_size=30),
    st.data(),
)
def test_any_cut_gives_the_same_content(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(parts) + b"\r\n.\r\nrest"
    cuts = data.draw(st.lists(st.integers(0, len(wire)), unique=True, max_size=6).map(sorted))
    pieces = [wire[a:b] for a, b in pairwise([0, *cuts, len(wire)]) if a < b]
    assert read(pieces) == read([wire])


@given(st.lists(st.sampled_from([b"a", b".", b"..", b".b", b"", b"c."]), max_size=12))
def test_stuffing_is_undone_exactly(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." + x if x.startswith(b".") else x) + b"\r\n" for x in lines)
    assert read([stuffed + b".\r\n"]) == (content, b"")


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_lines_come_out_whole_however_they_come_in(pieces: list[bytes]) -> None:
    wire = b"".join(pieces)
    lines, buffer = [], LineBuffer()
    for piece in pieces:
        buffer.feed(piece)
        while (line := buffer.next_line()) is not None:
            lines.append(line)
    *expected, rest = wire.split(b"\r\n")
    assert lines == expected
    assert buffer.take() == rest
