"""Line ends are made CRLF, a stretch at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.message import line_ends
from gatepost.wire.message.line_ends import has_clean_line_ends, with_clean_line_ends

TEXT = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"ab"])).map(b"".join)


@given(TEXT, st.integers(1, 9))
def test_no_stretch_cuts_a_line_end(text: bytes, stretch: int) -> None:
    expected = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ends, "_STRETCH", stretch)
        made = with_clean_line_ends(text)
    assert made == expected
    assert has_clean_line_ends(made)


ENDS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"ab", b"\x85", b"\x0b", b"\xff"]))


@given(ENDS.map(b"".join), st.integers(1, 9))
def test_ends_are_clean_where_none_stands_alone(text: bytes, stretch: int) -> None:
    alone = text.replace(b"\r\n", b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ends, "_STRETCH", stretch)
        assert has_clean_line_ends(text) is not (b"\r" in alone or b"\n" in alone)


def test_nothing_but_line_ends_takes_no_longer_than_counting() -> None:
    text = b"\r\n" * 500_000
    assert has_clean_line_ends(text)
    assert not has_clean_line_ends(text + b"\r")
    assert not has_clean_line_ends(b"\n" + text)
