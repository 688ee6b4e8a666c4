"""The header section: found, scanned, counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.message.header import (
    Flaw,
    Header,
    HeaderFault,
    is_long,
    missing,
    repeated,
    scan,
    spell,
    unfold,
    value_of,
)
from gatepost.wire.message.limits import HEADER_FIELDS, HEADER_SECTION, LONG_HEADER

MESSAGE = (
    b"From: a@b\r\nSubject: folded\r\n over two\r\n\tlines\r\nX-Empty:\r\n\r\nBody\r\n\r\nmore\r\n"
)


def scanned(content: bytes) -> Header:
    header = scan(content)
    assert isinstance(header, Header), header
    return header


@pytest.mark.rfc("5322#2.2.3")
def test_fields_keep_their_folds_and_offsets() -> None:
    header = scanned(MESSAGE)
    assert header.names == (b"from", b"subject", b"x-empty")
    subject = header.field(1)
    assert MESSAGE[subject.start : subject.end] == b"Subject: folded\r\n over two\r\n\tlines\r\n"
    assert value_of(MESSAGE, subject) == b" folded\r\n over two\r\n\tlines"
    assert unfold(value_of(MESSAGE, subject)) == b"folded over two\tlines"
    assert MESSAGE[header.body :] == b"Body\r\n\r\nmore\r\n"
    assert MESSAGE[: header.end].endswith(b"X-Empty:\r\n")


@pytest.mark.parametrize(
    ("content", "fields", "body"),
    [
        (b"", 0, 0),
        (b"\r\nBody\r\n", 0, 2),
        (b"From: a@b\r\n", 1, 11),
        (b"From: a@b\r\n\r\n", 1, 13),
        (b"!#$%&'*+-^_`|~: any printable is a name\r\n\r\n", 1, 43),
        (b"A: b\r\n \r\n\r\n", 1, 11),
    ],
)
def test_content_without_header_or_body_is_no_fault(content: bytes, fields: int, body: int) -> None:
    header = scanned(content)
    assert (len(header.names), header.body) == (fields, body)


@pytest.mark.rfc("5322#2.2")
@pytest.mark.parametrize(
    ("content", "flaw", "field", "line"),
    [
        (b"Hello there\r\n\r\n", Flaw.NO_FIELD, "", 1),
        (b"From: a\r\nHello there\r\n\r\n", Flaw.NO_FIELD, "", 2),
        (b"From: a\r\n: empty name\r\n\r\n", Flaw.NO_FIELD, "", 2),
        (b"Gr\xc3\xbc: a\r\n\r\n", Flaw.NO_FIELD, "", 1),
        (b"From : a\r\n\r\n", Flaw.SPACE_BEFORE_COLON, "From", 1),
        (b" From: a\r\n\r\n", Flaw.STRAY_CONTINUATION, "", 1),
        (b"A: b\r\nX: a\0b\r\n\r\n", Flaw.NUL, "X", 2),
        (b"A: b\r\nreply-to: a\nb\r\n\r\n", Flaw.BARE_LINE_END, "Reply-To", 2),
        (b"A: b\r\nX: a\rb\r\n\r\n", Flaw.BARE_LINE_END, "X", 2),
        (b"A: b\r\n folded\r\nX: a\rb\r\n\r\n", Flaw.BARE_LINE_END, "X", 3),
        (b"A: b\nC: d\n\nBody\n", Flaw.BARE_LINE_END, "A", 1),
        (b"From: a@b", Flaw.UNFINISHED, "From", 1),
        (b"X: a\r\n" * (HEADER_FIELDS + 1) + b"\r\n", Flaw.TOO_MANY_FIELDS, "", 0),
        (b"X: " + b"a" * HEADER_SECTION + b"\r\n\r\n", Flaw.TOO_LARGE, "", 0),
    ],
)
def test_a_malformed_header_section_is_named(
    content: bytes, flaw: Flaw, field: str, line: int
) -> None:
    assert scan(content) == HeaderFault(flaw, field, line)


def test_a_header_section_may_be_as_large_as_the_limit() -> None:
    field = b"X: " + b"a" * (HEADER_SECTION - 5) + b"\r\n"
    assert scanned(field + b"\r\nBody\r\n").end == HEADER_SECTION
    assert scanned(b"X: a\r\n" * HEADER_FIELDS + b"\r\n").end == 6 * HEADER_FIELDS


def test_a_fault_says_where_it_is() -> None:
    assert HeaderFault(Flaw.NUL, "X", 2).words == "X: header field holds a NUL (line 2)"
    assert HeaderFault(Flaw.TOO_LARGE).words == "header section is too large"


@pytest.mark.rfc("5322#3.6")
@pytest.mark.parametrize(
    "name",
    [
        "Date",
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Subject",
    ],
)
def test_fields_that_may_occur_once_are_refused_twice(name: str) -> None:
    fields = f"{name}: a\r\nReceived: a\r\nX: a\r\n{name.upper()}: b\r\n\r\n".encode()
    assert repeated(scanned(fields)) == HeaderFault(Flaw.REPEATED, name)


def test_other_fields_may_be_repeated() -> None:
    fields = b"Received: a\r\nComments: a\r\nX: a\r\nFrom: a\r\n" + b"Received: b\r\nX: b\r\n\r\n"
    assert repeated(scanned(fields)) is None


@pytest.mark.rfc("5322#3.6")
@pytest.mark.parametrize(
    ("content", "field"),
    [(b"From: a\r\n\r\n", "Date"), (b"Date: a\r\n\r\n", "From"), (b"", "Date")],
)
def test_date_and_from_are_demanded(content: bytes, field: str) -> None:
    assert missing(scanned(content)) == HeaderFault(Flaw.MISSING, field)
    assert missing(scanned(b"DATE: a\r\nFROM: b\r\n\r\n")) is None


def test_names_are_spelt_as_people_write_them() -> None:
    assert [spell(n) for n in (b"message-id", b"reply-to", b"from")] == [
        "Message-ID", "Reply-To", "From",
    ]  # fmt: skip


def test_named_returns_all_of_a_name_in_order() -> None:
    header = scanned(b"X: 1\r\nY: 2\r\nx: 3\r\n\r\n")
    assert [field.start for field in header.named(b"x")] == [0, 12]
    assert [field.name for field in header.fields()] == [b"x", b"y", b"x"]


_LINEISH = st.lists(
    st.sampled_from(
        [b"From", b"X-Y", b":", b" ", b"\t", b"a@b", b"\r\n", b"\r", b"\n", b"\0", b"\xff"]
    )
    | st.binary(max_size=6)
).map(b"".join)


@given(st.binary() | _LINEISH)
def test_garbage_never_raises_and_fields_cover_the_section(content: bytes) -> None:
    header = scan(content)
    if isinstance(header, HeaderFault):
        assert header.words
        return
    fields = list(header.fields())
    assert b"".join(content[f.start : f.end] for f in fields) == content[: header.end]
    assert header.end <= header.body <= len(content)
    assert content[header.end : header.body] in {b"", b"\r\n"}
    assert all(b"\0" not in content[f.start : f.end] for f in fields)
    assert repeated(header) is None or len(fields) > 1


@pytest.mark.parametrize(
    "content",
    [
        b"a" * 262_000,
        b"a" * 100 + b"\n" + b"b: " * 80_000,
        b"a: x\r\n " + b"y\r\n " * 50_000 + b"\0",
        b"a:\r" * 80_000,
        b"a:\n" * 80_000,
        b"a: b\r\n" * 40_000,
    ],
)
@pytest.mark.timeout(10)
def test_no_input_makes_the_scan_slow(content: bytes) -> None:
    assert isinstance(scan(content), HeaderFault)


@pytest.mark.parametrize("cut", [1, 7, 1500, 10**6])
@pytest.mark.parametrize(("size", "is_so"), [(0, False), (2, False), (4, True), (9000, True)])
def test_a_header_is_long_however_its_content_is_cut(cut: int, size: int, is_so: bool) -> None:
    field = (
        b"X: " + b"x" * (LONG_HEADER - 7 + size) + b"\r\n"
    )  # ends `size` - 2 octets beyond the bound
    for body in (b"", b"x" * 40_000):
        content = field + b"\r\n" + body
        pieces = [content[at : at + cut] for at in range(0, len(content), cut)]
        assert is_long(pieces) is is_so
