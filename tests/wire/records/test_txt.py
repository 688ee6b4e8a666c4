"""TXT records in presentation form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.records.txt import LONGEST_STRING, parse_txt, txt_strings


@pytest.mark.rfc("1035#5.1")
@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ('"v=DKIM1; " "p=AB"', "v=DKIM1; p=AB"),
        ("bare", "bare"),
        (r'"a\059b\"c\\"', 'a;b"c\\'),
        (r'"\195\188"', "ü"),
        ('""', ""),
    ],
)
def test_strings_are_joined_and_escapes_undone(text, joined):
    assert parse_txt(text) == joined


@pytest.mark.rfc("1035#3.3.14")
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=900))
def test_what_is_cut_into_strings_is_read_back(text):
    strings = txt_strings(text)
    assert all(len(parse_txt(string)) <= LONGEST_STRING for string in strings)
    assert parse_txt(" ".join(strings)) == text


@given(st.text())
def test_garbage_raises_nothing(text):
    parse_txt(text)
