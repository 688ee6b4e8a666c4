"""Which paths are paths, and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp.grammar import (
    Mailbox,
    is_domain,
    is_qualified,
    literal_address,
    parse_mailbox,
    parse_path,
)

PATHS = [
    ("a@b.example", Mailbox("a", "b.example")),
    ("A.b+c@B.EXAMPLE", Mailbox("A.b+c", "b.example")),
    ('"a b"@c.example', Mailbox('"a b"', "c.example")),
    (r'"a\"b"@c.example', Mailbox(r'"a\"b"', "c.example")),
    ('"a@b"@c.example', Mailbox('"a@b"', "c.example")),
    ("a%b@c.example", Mailbox("a%b", "c.example")),
    ("a!b@c.example", Mailbox("a!b", "c.example")),
    ("a@[192.0.2.1]", Mailbox("a", "[192.0.2.1]")),
    ("a@[IPv6:2001:DB8::1]", Mailbox("a", "[ipv6:2001:db8::1]")),
    ("@x.example:a@b.example", Mailbox("a", "b.example")),
    ("@x.example,@y.example:a@b.example", Mailbox("a", "b.example")),
    ("postmaster", Mailbox("postmaster", "")),
    ("PostMaster", Mailbox("PostMaster", "")),
    ("a@b", Mailbox("a", "b")),
    ("_dmarc@_x.example", Mailbox("_dmarc", "_x.example")),
    ("a", None),
    ("@b.example", None),
    ("a@", None),
    ("a@@b.example", None),
    ("a@b@c.example", None),
    (".a@b.example", None),
    ("a..b@c.example", None),
    ("a.@c.example", None),
    ("a b@c.example", None),
    ("a@b..example", None),
    ("a@-b.example", None),
    ("a@b.example.", None),
    ("a@[300.0.0.1]", None),
    ("a@[IPv6:zz]", None),
    ("a@[]", None),
    ("@x.example,a@b.example", None),
    ('"a"b"@c.example', None),
    ("a@" + "b" * 64 + ".example", None),
    ("a" * 64 + "@b.example", Mailbox("a" * 64, "b.example")),
    ("a" * 65 + "@b.example", None),
    ("a@" + "b." * 130 + "example", None),
]


@pytest.mark.parametrize("text", ["\ud800@x.example", "a@\ud800.example", "a\udfff@x.example"])
def test_half_a_character_is_no_mailbox(text: str) -> None:
    """No octets make one, but JSON can spell it."""
    assert parse_mailbox(text) is None


@pytest.mark.rfc("5321#4.1.2")
@pytest.mark.parametrize(("text", "expected"), PATHS)
def test_path(text: str, expected: Mailbox | None) -> None:
    assert parse_path(text) == expected


@given(st.text(max_size=300))
def test_any_text_is_a_path_or_none(text: str) -> None:
    found = parse_path(text)
    assert found is None or found.local_part


@given(
    st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}@[a-z]{1,9}(\.[a-z]{2,9}){1,3}", fullmatch=True)
)
def test_an_ordinary_mailbox_reads_back(text: str) -> None:
    found = parse_mailbox(text)
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize(
    ("local_part", "name"), [("a", "a"), ('"a b"', "a b"), (r'"a\"b"', 'a"b'), (r'"a\@b"', "a@b")]
)
def test_the_name_is_what_the_local_part_means(local_part: str, name: str) -> None:
    assert Mailbox(local_part, "x.example").name == name


@pytest.mark.rfc("5321#4.1.3")
@pytest.mark.parametrize(
    ("domain", "address"),
    [("[192.0.2.1]", "192.0.2.1"), ("[ipv6:::1]", "::1"), ("[x]", None), ("a.example", None)],
)
def test_address_literals(domain: str, address: str | None) -> None:
    assert literal_address(domain) == address


@pytest.mark.rfc("6409#4.2")
@pytest.mark.parametrize(
    ("domain", "expected"), [("a.example", True), ("localhost", False), ("[192.0.2.1]", True)]
)
def test_qualified(domain: str, *, expected: bool) -> None:
    assert is_qualified(domain) is expected


@given(st.text(max_size=300))
def test_a_domain_is_ascii_labels(text: str) -> None:
    if is_domain(text):
        assert text.isascii()
        assert all(0 < len(label) <= 63 for label in text.split("."))


UTF8 = [
    ("Pelé@example.com", "Pelé@example.com"),
    ("用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah"),
    ("user@Bücher.example", "user@xn--bcher-kva.example"),
    ('"é x"@b.example', '"é x"@b.example'),
    ("é.ü@[192.0.2.1]", "é.ü@[192.0.2.1]"),
    ("é..ü@b.example", None),
    ("é ü@b.example", None),
    ("é\u2028@b.example", None),
    ("\u202e@b.example", None),
    ("é@-x.example", None),
    ("é", None),
    ("é@", None),
    ("é" * 32 + "@b.example", "é" * 32 + "@b.example"),
    ("é" * 33 + "@b.example", None),
    ("é@" + "ü" * 300, None),
]


@pytest.mark.rfc("6531#3.3")
@pytest.mark.parametrize(("text", "expected"), UTF8)
def test_mailboxes_in_utf8(text: str, expected: str | None) -> None:
    found = parse_mailbox(text)
    assert (found.text if found else None) == expected


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    found = parse_path(text)
    assert found is None or found.domain.isascii()
