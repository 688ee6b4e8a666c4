"""Header fields written in ASCII, as Python's own reader understands them."""

import email
import email.policy

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gatepost.wire.message.address_tokens import cut
from gatepost.wire.message.addresses import addresses_of, named_in
from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import Flaw, Header, HeaderFault, scan


def encoded(field: bytes) -> bytes | None:
    content = field + b"\r\n"
    header = scan(content)
    assert isinstance(header, Header)
    made = ascii_fields(content, header)
    if isinstance(made, HeaderFault):
        assert made.flaw is Flaw.NOT_ASCII
        return None
    assert made.isascii()
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


def value(field: bytes) -> bytes:
    return field.partition(b":")[2].removesuffix(b"\r\n")


@pytest.mark.parametrize(
    ("field", "made"),
    [
        ('"Jürgen" Müller <a@b.test>', " =?utf-8?B?SsO8cmdlbiBNw7xsbGVy?= <a@b.test>"),
        ("é(x)<a@b.test>", " =?utf-8?B?w6k=?= (x)<a@b.test>"),
        ("(x)é<a@b.test>", "(x) =?utf-8?B?w6k=?= <a@b.test>"),
        ("a@b.test (x (é \\) y) z)", "a@b.test (x (=?utf-8?B?w6kgKSB5?=) z)"),
        ("x [é] <a@b.test>", "x =?utf-8?B?W8OpXQ==?= <a@b.test>"),
        ('é"y z"w <a@b.test>', " =?utf-8?B?w6l5IHp3?= <a@b.test>"),
        ("a@b.test,é:;", "a@b.test, =?utf-8?B?w6k=?= :;"),
        ("<@b.test:a@c.test>, é <d@e.test>", "<@b.test:a@c.test>, =?utf-8?B?w6k=?= <d@e.test>"),
        ("é\r\n <a@[1.2.\r\n 3.4]>", " =?utf-8?B?w6k=?= <a@[1.2. 3.4]>"),
        # What is no list of addresses is text, and names nobody.
        ("é", " =?utf-8?B?w6k=?="),
        ("é <a@b.test> <c@d.test>", " =?utf-8?B?w6kgPGFAYi50ZXN0PiA8Y0BkLnRlc3Q+?="),
    ],
)
def test_names_and_comments_are_encoded_as_they_are_read(field: str, made: str) -> None:
    assert encoded(b"To:" + field.encode()) == b"To:" + made.encode() + b"\r\n"


def test_a_long_list_keeps_all_its_addresses() -> None:
    people = [f"Jürgen {i} <p{i}@b.test>" for i in range(2000)]
    field = b"To: " + ",\r\n ".join(people).encode()
    made = encoded(field)
    assert made is not None
    assert named_in(cut(value(made).decode())) == tuple(f"p{i}@b.test" for i in range(2000))


_PIECES = st.sampled_from(
    ["é", "é", "x", "b.c", "@", "<", ">", ",", ";", ":", '"', "\\", "(", ")", "[", "]", " ", "\r\n ",
     "<v@v.test>", "<m@m.test>", "v@v.test", "g:", "=?utf-8?Q?x?=", '\\"', "\\)"]
)  # fmt: skip


@settings(max_examples=1000)
@example(["(( x) ", '"é ) "', "q) <ceo@v.test> (", '" <m@m.test> (é', '")'])
@example(['[é"]', "<v@v.test>"])
@example(['é (") "', "<v@v.test>", '"', "<m@m.test>", '(")'])
@given(st.lists(_PIECES, min_size=2, max_size=16))
def test_whoever_was_named_is_named_and_nobody_else(pieces: list[str]) -> None:
    field = b"From:" + "".join(pieces).encode()
    header = scan(field + b"\r\n")
    assume(isinstance(header, Header) and len(header.names) == 1)
    made = encoded(field)
    if made is not None:
        before, after = addresses_of(value(field)), addresses_of(value(made))
        assert after == before or (isinstance(before, HeaderFault) and not isinstance(after, tuple))


@given(
    st.sampled_from([b"Subject", b"From", b"Content-Type", b"X"]),
    st.binary(max_size=300).map(lambda b: b.translate(None, b"\r\n\0")),
)
def test_garbage_never_raises_and_never_grows_a_long_line(name: bytes, octets: bytes) -> None:
    made = encoded(name + b": " + octets)
    assert made is None or max(map(len, made.split(b"\r\n"))) <= 998
