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
