"""Content for next hops that take less: nothing is lost, and what cannot be changed is said."""

import email
import email.policy
import tracemalloc
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.message.reencode import Capacity, Unconvertible, is_fit, reencode

SEVEN, EIGHT = Capacity.SEVEN_BIT, Capacity.EIGHT_BIT
HEAD = b"From: a@b.test\r\nMIME-Version: 1.0\r\n"


def converted(content: bytes, capacity: Capacity = SEVEN) -> bytes:
    made = reencode(content, capacity)
    assert isinstance(made, bytes), made
    assert is_fit(made, capacity)
    return made


def leaves(content: bytes) -> list[tuple[str, bytes]]:
    def walk(part: Any) -> list[tuple[str, bytes]]:
        if part.is_multipart():
            return [leaf for each in part.get_payload() for leaf in walk(each)]
        return [(part.get_content_type(), part.get_payload(decode=True))]

    return walk(email.message_from_bytes(content))


def test_what_is_fit_is_not_touched() -> None:
    content = HEAD + b"Content-Type: multipart/signed\r\n\r\n--x\r\n"
    assert reencode(content, SEVEN) is content


@pytest.mark.rfc("6152#3")
def test_text_becomes_quoted_printable_and_says_so() -> None:
    content = HEAD + b"Content-Transfer-Encoding: 8bit\r\nContent-Type: text/plain\r\n\r\n"
    made = converted(content + b"Gr\xc3\xbc\xc3\x9fe = \r\nfrom here\r\n")
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in made
    assert made.count(b"Transfer-Encoding") == 1
    assert made.endswith(b"\r\n\r\nGr=C3=BC=C3=9Fe =3D=20\r\nfrom here\r\n")


def test_text_without_mime_gets_it() -> None:
    made = converted(b"From: a@b.test\r\n\r\nH\xc3\xa9\r\n")
    assert b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" in made
    made = converted(b"From: a@b.test\r\n\r\nH\xe9 you there, how are you\r\n")
    assert b"charset=unknown-8bit" in made


def multipart() -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"] = "a@b.test", "Hi"
    message.set_content("Grüße\r\n" * 3, cte="8bit")
    message.add_alternative("<p>Здравствуйте</p>" * 9, subtype="html", cte="8bit")
    message.add_attachment(bytes(range(256)) * 9, maintype="image", subtype="png")
    inner = EmailMessage(policy=email.policy.SMTP)
    inner["From"], inner["Subject"] = "x@y.test", "Inner"
    inner.set_content("ünder\r\n", cte="8bit")
    message.add_attachment(inner)
    return message.as_bytes()


def test_every_leaf_says_what_it_said() -> None:
    content = multipart()
    assert not content.isascii()
    made = converted(content)
    assert leaves(made) == leaves(content)
    assert made.count(b"quoted-printable") + made.count(b"base64") == 4


@pytest.mark.rfc("3030#3")
@pytest.mark.parametrize("capacity", Capacity)
def test_binary_parts_become_base64(capacity: Capacity) -> None:
    octets = bytes(range(256)) + b"\n\r\r\n" * 20
    content = (
        HEAD + b'Content-Type: multipart/mixed; boundary="b 1"\r\n'
        b"Content-Transfer-Encoding: binary\r\n\r\npreamble\r\n"
        b"--b 1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nh\xc3\xa9llo over there\r\n"
        b"--b 1 \r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        + octets
        + b"\r\n--b 1\r\n\r\nplain\r\n--b 1--\r\nepilogue\r\n"
    )
    made = converted(content, capacity)
    assert leaves(made)[1] == ("image/png", octets)
    assert [kind for kind, _ in leaves(made)] == ["text/plain", "image/png", "text/plain"]
    assert (b"h\xc3\xa9llo" in made) is (capacity is EIGHT)
    assert b"preamble\r\n--b 1\r\n" in made
    assert made.endswith(b"\r\nplain\r\n--b 1--\r\nepilogue\r\n")
    assert b"binary" not in made


@given(st.binary(max_size=2000), st.sampled_from(["text/plain", "application/x"]))
def test_no_octet_of_a_part_is_lost(octets: bytes, kind: str) -> None:
    content = HEAD + b"Content-Type: %b\r\n\r\n" % kind.encode() + octets
    made = converted(content)
    assert leaves(made) == [(kind, octets)]


@given(st.binary(max_size=400), st.sampled_from(Capacity))
def test_garbage_never_raises(octets: bytes, capacity: Capacity) -> None:
    made = reencode(octets, capacity)
    assert isinstance(made, Unconvertible) or is_fit(made, capacity)


@given(st.lists(st.sampled_from([b"--b", b"--", b"\r\n", b"\r", b"\xff", b" ", b"a: b",
                                 b"Content-Type: text/x", b"b"]), max_size=40))  # fmt: skip
def test_strange_multiparts_never_raise(pieces: list[bytes]) -> None:
    content = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(pieces)
    made = reencode(content, SEVEN)
    assert isinstance(made, Unconvertible) or is_fit(made, SEVEN)


LONG = b"x" * 1200
BODY = b"\r\n\r\n--b\r\n\r\n\xc3\xa9\r\n--b--\r\n"


@pytest.mark.rfc("2045#6.4")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Content-Type: multipart/signed; boundary=b" + BODY, "signed or encrypted"),
        (b"Content-Type: Multipart/Encrypted; boundary=b" + BODY, "signed or encrypted"),
        (b"Content-Type: multipart/mixed" + BODY, "has no boundary"),
        (b"Content-Type: multipart/mixed; boundary=c" + BODY, "has no parts"),
        (b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64" + BODY,
         "encoded as a whole"),
        (b"Content-Type: message/partial\r\n\r\n\xc3\xa9", "must not be encoded"),
        (b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n\xc3\xa9", "says twice"),
        (b"Content-Transfer-Encoding: x-uu\r\n\r\n\xc3\xa9", "nobody knows"),
        (b"To: <\xc3\xa9@b.test>\r\n\r\n", "To: header field cannot be written in ASCII"),
        (b"Subject: " + LONG + b"\r\n\r\n", "header line cannot be folded"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_is_said(content: bytes, words: str) -> None:
    made = reencode(HEAD + content, SEVEN)
    assert isinstance(made, Unconvertible)
    assert words in made.words


@pytest.mark.rfc("5322#2.2.3")
def test_long_header_lines_are_folded() -> None:
    to = b"To: " + b", ".join(b"person%d@b.test" % n for n in range(200))
    made = converted(HEAD + to + b"\r\n\r\nhi\r\n", EIGHT)
    assert made.replace(b"\r\n ", b" ") == HEAD + to + b"\r\n\r\nhi\r\n"


def test_too_many_parts_are_not_looked_into() -> None:
    head = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    made = reencode(head + b"--b\r\n" * 20_000 + b"\r\n\xc3\xa9", SEVEN)
    assert isinstance(made, Unconvertible)
    assert made.words == "it has too many parts"


def nested(depth: int, body: bytes) -> bytes:
    for level in range(depth):
        kind = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        body = kind + body + b"\r\n--b%d--\r\n" % level
    return HEAD + body


def test_parts_within_parts_have_a_bound() -> None:
    content = nested(10, b"\r\nh\xc3\xa9llo over there\r\n")
    assert leaves(converted(content)) == leaves(content)
    made = reencode(nested(11, b"\r\nh\xc3\xa9llo over there\r\n"), SEVEN)
    assert isinstance(made, Unconvertible)
    assert made.words == "it has too many parts within parts"


def test_the_bound_of_parts_is_one_for_the_whole_message() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=i\r\n\r\n%b--i--\r\n"
    part = b"--o\r\n" + inner % (b"--i\r\n\r\n\xc3\xa9\r\n" * 1000)
    head = HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n"
    assert leaves(converted(head + part * 4 + b"--o--\r\n"))
    made = reencode(head + part * 5 + b"--o--\r\n", SEVEN)
    assert isinstance(made, Unconvertible)
    assert made.words == "it has too many parts"


def test_large_content_in_many_parts_is_copied_a_few_times_only() -> None:
    line = b"a" * 70 + b"\r\n"
    content = nested(10, b"\r\nx\ry\r\n" + line * 60_000)
    tracemalloc.start()
    try:
        converted(content)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 7 * len(content)


def test_text_with_bare_line_ends_keeps_them_in_base64() -> None:
    made = converted(HEAD + b"\r\none\ntwo\rthree\r\n" + "ü".encode(), EIGHT)
    assert b"Content-Transfer-Encoding: base64\r\n" in made


def test_long_lines_of_base64_are_cut_anew() -> None:
    content = HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 500 + b"\r\n"
    assert leaves(converted(content, EIGHT)) == [("text/plain", b"ABC" * 500)]


def test_a_header_in_utf8_becomes_encoded_words() -> None:
    made = converted("From: Jürgen <a@b.test>\r\nSubject: Grüße\r\n\r\nhi\r\n".encode())
    message = email.message_from_bytes(made, policy=email.policy.default)
    assert (message["From"], message["Subject"]) == ("Jürgen <a@b.test>", "Grüße")
