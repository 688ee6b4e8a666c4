"""Addresses in header fields (RFC 5322 §3.4 and its appendix A, RFC 6532)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.message.address_tokens import BadAddressError, cut
from gatepost.wire.message.addresses import a_labels, addresses_of, authors_of, named_in
from gatepost.wire.message.header import Flaw, HeaderFault


@pytest.mark.rfc("5322#3.4")
@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (" app@example.com", ["app@example.com"]),
        ("<app@example.com>", ["app@example.com"]),
        ("App Example <app@example.com>", ["app@example.com"]),
        ('"Joe Q. Public" <john.q.public@example.com>', ["john.q.public@example.com"]),
        ("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
         ["mary@x.test", "jdoe@example.org", "one@y.test"]),
        ('<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
         ["boss@nil.test", "sysservices@example.net"]),
        ("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
         ["c@a.test", "joe@where.test", "jdoe@one.test"]),
        ("Undisclosed recipients:;", []),
        ("A:;, b@c.test, D:e@f.test;", ["b@c.test", "e@f.test"]),
        ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["pete@silly.test"]),
        ("John Smith (my dear (nested) friend) <a@b.test>", ["a@b.test"]),
        ("a@b.test (Name in a comment)", ["a@b.test"]),
        ("=?utf-8?Q?J=C3=BCrg?= <a@b.test>", ["a@b.test"]),
        ("=?utf-8?B?SsO8cmc=?= =?utf-8?B?SsO8cmc=?= <a@b.test>", ["a@b.test"]),
        ("App\r\n Example\r\n\t<app@example.com>", ["app@example.com"]),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("a@[IPv6:2001:db8::1]", ["a@[IPv6:2001:db8::1]"]),
        ("[Team] Name <a@b.test>", ["a@b.test"]),
        ("user+tag@EXAMPLE.com", ["user+tag@EXAMPLE.com"]),
    ],
)  # fmt: skip
def test_mailboxes_and_groups(value: str, addresses: list[str]) -> None:
    assert addresses_of(value.encode()) == tuple(addresses)


@pytest.mark.rfc("5322#4.4")
@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("Joe Q. Public <john . q . public@example . com>", ["john.q.public@example.com"]),
        ("<@machine.tld,@[192.0.2.1]:mary@example.net>, , jdoe@test  . example",
         ["mary@example.net", "jdoe@test.example"]),
        ('"first".last@b.test', ["first.last@b.test"]),
        (",,a@b.test,,", ["a@b.test"]),
    ],
)  # fmt: skip
def test_obsolete_forms(value: str, addresses: list[str]) -> None:
    assert addresses_of(value.encode()) == tuple(addresses)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ('"app"@example.com', "app@example.com"),
        ('"a b"@example.com', '"a b"@example.com'),
        ('"a\\"b"@example.com', '"a\\"b"@example.com'),
        ('"a\\b"@example.com', "ab@example.com"),
        ('"evil@other.test"@example.com', '"evil@other.test"@example.com'),
        ('""@example.com', '""@example.com'),
    ],
)
def test_a_local_part_has_one_form_however_it_is_quoted(value: str, address: str) -> None:
    assert addresses_of(value.encode()) == (address,)


@pytest.mark.rfc("6532#3.2")
def test_utf8_is_allowed_where_atoms_are() -> None:
    assert addresses_of("Jürg Grün <jürg@grün.example>".encode()) == ("jürg@grün.example",)
    assert addresses_of(b"J\xfcrg <a@b.test>") == HeaderFault(Flaw.NOT_UTF8)


@pytest.mark.parametrize(
    "value",
    [
        "app", "app@", "@example.com", "a b@example.com", "<app@example.com", "app@example.com>",
        "a@b.test c@d.test", "<a@b.test> <c@d.test>", "a@b.test <c@d.test>", "a@b@c.test",
        "a..b@c.test", ".a@c.test", "a.@c.test", "a@.test", "a@b..test", '"open <a@b.test>',
        "(open a@b.test", "A: B: c@d.test;;", "A: b@c.test", "a@b.test;", "a\\@b.test", ":;",
        "Name, <a@b.test>", "a@[192.0.2.1", "<>", "x <>", "a@b.test\0", "[x]@b.test",
        "Bob <@b.test>", "a,b@c.test",
    ],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_a_fault(value: str) -> None:
    assert addresses_of(value.encode()) == HeaderFault(Flaw.BAD_ADDRESS)


@pytest.mark.parametrize(
    ("value", "authors"),
    [
        ("a@b.test", ["a@b.test"]),
        ('"Joe \\"Jay\\" Doe" <a@b.test>', ["a@b.test"]),
        ('"c@d.test (on behalf of) <e@f.test>" <a@b.test>', ["a@b.test"]),
        ('"\\"a@b.test\\"" <a@b.test>', ["a@b.test"]),
        ("a@b.test (Joe Doe)", ["a@b.test"]),
        ('a@b.test (Joe "Jay" Doe)', ["a@b.test"]),
        ("Joe (from (near) Ulm, DE) <a@b.test>", ["a@b.test"]),
        ("< a@b.test >, Joe Q. Doe <\r\n a@c.test> (x(y))", ["a@b.test", "a@c.test"]),
        ("Us:a@b.test(Joe),, b@b.test;", ["a@b.test", "b@b.test"]),
        ("A@B.test (a@b.test)", ["A@B.test"]),
        ('[JIRA] "Doe, Joe" <a@b.test>', ["a@b.test"]),
        ('"Doe (Joe)" <a@[IPv6:2001:db8::1]> (x)', ["a@[IPv6:2001:db8::1]"]),
        ('a@b.test (x), "y@z.test" <y@z.test>', ["a@b.test", "y@z.test"]),
    ],
)
def test_authors_with_comments_as_people_write_them(value: str, authors: list[str]) -> None:
    assert authors_of(value.encode()) == tuple(authors)


@pytest.mark.parametrize(
    "value",
    [
        '(( x) "a ) "q) <c@d.test> (" <a@b.test> (b")', "(c@d.test) a@b.test", "(<) a@b.test (>)",
        'a@b.test (")', 'a@b.test (" (x) ")', "a@b.test (\\))", "a@b.test (a\\x)",
        "[<c@d.test>] <a@b.test>", '["] <a@b.test>', "[(] <a@b.test>", "[c@d.test] <a@b.test>",
        '(x) "c@d.test" <a@b.test>', '[x] "<c@d.test>" <a@b.test>',
        '"\\" <c@d.test> \\"" <a@b.test>', '"\\\\" "c@d.test" <a@b.test>',
        '(x) "c@d.test"@b.test', '"c@d.test"@b.test', 'x."a"@b.test', '"x".a@b.test',
        "=?utf-8?Q?c=40d.test=3C?=@b.test", "a(x)@b.test", "a @b.test", "a@b .test",
        "<@c.test:a@b.test>", "a@b.test(x(y)z)", "(x (y))a@b.test", "Joe (sales @ acme) <a@b.test>", '"a@b.test@c.test" (x) <a@b.test>',
    ],
)  # fmt: skip
def test_an_author_is_not_read_from_what_others_read_otherwise(value: str) -> None:
    assert isinstance(addresses_of(value.encode()), tuple)
    assert authors_of(value.encode()) == HeaderFault(Flaw.AMBIGUOUS)


@pytest.mark.parametrize("value", [b"", b"  ", b"(only a comment)", b",,"])
def test_an_empty_list_has_no_address(value: bytes) -> None:
    assert addresses_of(value) == ()


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "value",
    [b"(" * 200_000, b'"' + b"\\" * 200_000, b"a " * 100_000, b"a." * 100_000, b"a@b," * 60_000],
)
def test_no_value_makes_the_parser_slow_or_deep(value: bytes) -> None:
    assert isinstance(addresses_of(value), HeaderFault)


_PIECES = st.sampled_from(
    ["a", "b.c", "@", "<", ">", ",", ";", ":", ".", '"', "\\", "(", ")", "[", "]", " ", "\r\n ", "ü",
     "\0", "=?utf-8?Q?x?="]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=25).map("".join) | st.text())
def test_garbage_never_raises_and_addresses_read_as_themselves(value: str) -> None:
    found = addresses_of(value.encode("utf-8", "replace"))
    if isinstance(found, tuple):
        for address in found:
            assert addresses_of(address.encode()) == (address,)


@given(st.binary())
def test_any_octets_are_read_without_raising(value: bytes) -> None:
    addresses_of(value)


@pytest.mark.parametrize(
    ("domain", "labels"),
    [
        ("Example.COM", "example.com"), ("grün.example", "xn--grn-ioa.example"),
        ("GRÜN.example", "xn--grn-ioa.example"), ("xn--grn-ioa.example", "xn--grn-ioa.example"),
        ("_x.example", "_x.example"), ("ü" * 80, None), ("\u0600.example", None),
    ],
)  # fmt: skip
def test_domains_are_compared_in_a_labels(domain: str, labels: str | None) -> None:
    assert a_labels(domain) == labels


def test_a_header_section_full_of_addresses_is_a_list_and_one_of_specials_is_none() -> None:
    many = ", ".join(['"Jörg Müller" <jm@a.example>'] * 3700)
    named = named_in(cut(many))
    assert named is not None
    assert len(named) == 3700
    with pytest.raises(BadAddressError):
        cut("<" * 60_000)
