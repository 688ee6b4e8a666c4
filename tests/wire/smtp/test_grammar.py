"""Which paths are paths, and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp.grammar import (
    Mailbox,
    is_domain,
    is_path,
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
    ("a@[IPv6:fe80::1%eth0]", None),
    ("a@[IPv6:fe80::1%a b]", None),
    ("a@[IPv6:fe80::1%a>\r\nRCPT TO:<victim@x.example]", None),
    ("a@[IPv6:fe80::1%\x1b[31m\x0b\0]", None),
    ("a@[IPv6:fe80::1/64]", None),
    ("a@[IPv6: ::1]", None),
    ("a@[IPv6:::\uff11]", None),
    ("a@[192.0.2.\u0661]", None),
    ("a@[192.0.2.1%x]", None),
    ("a@[IPv6:::ffff:192.0.2.1]", Mailbox("a", "[ipv6:::ffff:192.0.2.1]")),
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


#: What lies near a path: its parts, and what could break out of a command or a field.
PARTS = st.sampled_from(
    [
        *'ab.@"<>[]:%\\ \r\n\0\x1b\u2028\xe9',
        "IPv6:",
        "fe80::1",
        "127.0.0.1",
        "example",
        "straße.example",
    ]
)


@given(st.lists(PARTS, max_size=12).map("".join))
def test_what_is_taken_for_a_path_can_be_said(text: str) -> None:
    """The door and the way out go by one rule: nothing is accepted that could not be sent."""
    found = parse_path(text)
    if found is not None:
        assert is_path(found.text)
        assert found.text.isprintable()
        assert len(found.text.encode()) <= 254
        outside = found.domain if found.local_part.startswith('"') else found.text
        assert not set("<> ").intersection(outside)


def test_a_domain_that_is_too_long_in_a_labels_is_none() -> None:
    domain = ".".join(["ü" * 10] * 12)
    assert parse_mailbox(f"{'a' * 64}@{domain}") is None


@pytest.mark.parametrize(
    "text", ["", "postmaster", "a@b.example", '"a> b"@c.example', "ä@b.example"]
)
def test_paths_that_can_be_said(text: str) -> None:
    assert is_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "a b@c.example",
        '"a"b> c@d.example',
        "a@b.example\r\nRSET",
        "a@b.example\n",
        "a@[IPv6:::1%\0]",
        "@r.example:a@b.example",
    ],
)
def test_paths_that_cannot_be_said(text: str) -> None:
    assert not is_path(text)


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
