"""Header fields written in ASCII, as Python's own reader understands them."""

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import Header, scan


def encoded(field: bytes) -> bytes | None:
    content = field + b"\r\n"
    header = scan(content)
    assert isinstance(header, Header)
    made = ascii_fields(content, header)
    assert made is None or made.isascii()
    return made


@pytest.mark.rfc("2047#5")
@pytest.mark.parametrize(
    "field",
    [
        "Subject: Grüße aus Köln",
        "Subject: a Grüße b c schöne größe d",
        "Subject: " + "ü" * 300,
        "Subject: " + "日本語のテキスト" * 30,
        "Comments: ü",
        'From: "Jürgen, Dr." <a@b.test>',
        'From: "Jürgen \\"J\\"" <a@b.test>',
        "To: Jürgen Müller <a@b.test>, Zoë <c@d.test>, e@f.test",
        "To: Gruppe ü: a@b.test, c@d.test;",
        'Content-Disposition: attachment; filename="Grüße.pdf"; size=3',
        "Content-Disposition: attachment; filename=Grüße.pdf",
    ],
)
def test_it_reads_as_before(field: str) -> None:
    name, _, value = field.partition(": ")
    made = encoded(field.encode())
    assert made is not None
    assert max(map(len, made.split(b"\r\n"))) < 200
    read = email.message_from_bytes(made + b"\r\n", policy=email.policy.default)
    if name == "Content-Disposition":
        assert read.get_filename() == "Grüße.pdf"
    elif hasattr(read[name], "addresses"):
        before = email.message_from_bytes(field.encode() + b"\r\n\r\n", policy=email.policy.default)
        assert [a.addr_spec for a in read[name].addresses] == [
            a.addr_spec for a in before[name].addresses
        ]
        names = [a.display_name for a in read[name].addresses if a.display_name]
        assert all(n in value.replace('\\"', '"') for n in names)
    else:
        assert read[name] == value


@pytest.mark.rfc("6532#3.2")
@pytest.mark.parametrize(
    "field",
    [
        "From: <jürgen@b.test>",
        "From: a@bücher.test",
        'From: "jürgen"@b.test',
        "Message-ID: <ü@b.test>",
        "Content-Type: text/ü",
        "Received: from ü",
    ],
)
def test_an_address_cannot_be_written_so(field: str) -> None:
    assert encoded(field.encode()) is None


def test_folds_and_ascii_stay() -> None:
    field = b"To: Al <a@b.test>,\r\n\tZo\xc3\xab <c@d.test>,\r\n E <e@f.test>"
    made = encoded(field)
    assert made == b"To: Al <a@b.test>,\r\n\t=?utf-8?B?Wm/Dqw==?= <c@d.test>,\r\n E <e@f.test>\r\n"


def test_what_is_no_utf8_is_kept_as_octets() -> None:
    assert encoded(b"Subject: Gr\xfc\xdfe") == b"Subject: =?unknown-8bit?B?R3L832U=?=\r\n"


@given(
    st.sampled_from([b"Subject", b"From", b"Content-Type", b"X"]),
    st.binary(max_size=300).map(lambda b: b.translate(None, b"\r\n\0")),
)
def test_garbage_never_raises_and_never_grows_a_long_line(name: bytes, value: bytes) -> None:
    made = encoded(name + b": " + value)
    assert made is None or max(map(len, made.split(b"\r\n"))) <= 998
