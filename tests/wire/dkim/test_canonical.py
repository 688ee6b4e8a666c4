"""Canonical forms: a table, and any cut of the body."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.dkim.canonical import (
    BodyHash,
    Canonicalization,
    body_hash,
    relaxed_field,
    simple_field,
)

RELAXED, SIMPLE = Canonicalization.RELAXED, Canonicalization.SIMPLE


@pytest.mark.rfc("6376#3.4.5")
@pytest.mark.parametrize(
    ("form", "body", "canonical"),
    [
        (RELAXED, b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),
        (SIMPLE, b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n"),
        (RELAXED, b"", b""),
        (SIMPLE, b"", b"\r\n"),
        (RELAXED, b"\r\n\r\n", b""),
        (SIMPLE, b"\r\n\r\n", b"\r\n"),
        (RELAXED, b" \t\r\n \r\n", b""),
        (SIMPLE, b" \r\n\r\n", b" \r\n"),
        (RELAXED, b"a", b"a\r\n"),
        (SIMPLE, b"a", b"a\r\n"),
        (RELAXED, b"a  ", b"a\r\n"),
        (RELAXED, b"a\r\n\r\n b", b"a\r\n\r\n b\r\n"),
        (RELAXED, b"a \r\n \r\nb\t\t\tc" + b" " * 999 + b"d\r\n", b"a\r\n\r\nb c d\r\n"),
        (SIMPLE, b"a\n", b"a\n\r\n"),
        (SIMPLE, b"a\r\r\n\r\n", b"a\r\r\n"),
    ],
)
def test_a_body_is_hashed_in_its_canonical_form(form, body, canonical):
    assert body_hash((body,), form) == hashlib.sha256(canonical).digest()


@pytest.mark.rfc("6376#3.4.2")
@pytest.mark.parametrize(
    ("name", "value", "relaxed", "simple"),
    [
        (b"A", b" X\r\n", b"a:X", b"A: X"),
        (b"B ", b" Y\t\r\n\tZ  \r\n", b"b:Y Z", b"B : Y\t\r\n\tZ  "),
        (b"Subject", b"\r\n", b"subject:", b"Subject:"),
        (b"Subject", b" \r\n \t\r\n", b"subject:", b"Subject: \r\n \t"),
    ],
)
def test_a_field_has_two_canonical_forms(name, value, relaxed, simple):
    assert relaxed_field(name, value) == relaxed
    assert simple_field(name, value) == simple


@pytest.mark.rfc("6376#3.7")
@given(
    st.lists(
        st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"bc", b"\xff"]), max_size=40
    ),
    st.lists(st.integers(0, 60), max_size=8),
    st.sampled_from(list(Canonicalization)),
    st.none() | st.integers(0, 30),
)
def test_any_cut_of_a_body_gives_the_same_hash(parts, cuts, form, length):
    body = b"".join(parts)
    whole = BodyHash(form, length)
    whole.update(body)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    cut = BodyHash(form, length)
    for start, end in itertools.pairwise(edges):
        cut.update(body[start:end])
    assert cut.digest() == whole.digest()
    assert cut.is_short == whole.is_short
