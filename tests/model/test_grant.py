"""Grants: what they name, and what they do not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.grant import canonical, covers, owns, parse_grant
from gatepost.model.wrong import WrongValueError


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" App@Example.COM ", "app@example.com"),
        ('"app"@example.com', "app@example.com"),
        ('"a b"@example.com', '"a b"@example.com'),
        ("@Example.com", "@example.com"),
        ("*@example.com", "@example.com"),
        ("News-*@example.com", "news-*@example.com"),
        ("a*b*c@example.com", "a*b*c@example.com"),
        ("@.example.com", "@.example.com"),
        ("*.example.com", "@.example.com"),
        ("@*.example.com", "@.example.com"),
        ("*@*.example.com", "@.example.com"),
        ("*@.example.com", "@.example.com"),
        ("app@*.example.com", "app@.example.com"),
        ("@gr\u00fcn.example", "@xn--grn-ioa.example"),
        ("*.GR\u00dcN.example", "@.xn--grn-ioa.example"),
        ("*", "*"),
        ("*@*", "*"),
        # in quotes it is an asterisk
        ('"*"@b.example', '"*"@b.example'),
        ('"News-*"@b.example', '"news-*"@b.example'),
        # a quoted pair means the character, and quotes stay only where they are needed
        (r'"g\one"@b.example', "gone@b.example"),
        (r'"\*"@b.example', '"*"@b.example'),
        (r'"a\ b"@b.example', '"a b"@b.example'),
        (r'"a\"b"@b.example', r'"a\"b"@b.example'),
        (r'"a\\b"@b.example', r'"a\\b"@b.example'),
        ('".a"@b.example', '".a"@b.example'),
        ("J\u00dcRG@b.example", "j\u00fcrg@b.example"),
        ("ju\u0308rg-*@gr\u00fcn.example", "j\u00fcrg-*@xn--grn-ioa.example"),
    ],
)
def test_a_grant_is_kept_in_one_form(written: str, kept: str) -> None:
    assert parse_grant(written) == kept
    assert parse_grant(kept) == kept


@pytest.mark.parametrize(
    "written",
    ["", "@", "app", "example.com", "@local", "@.local", "*.com", "@*", "a@b@c.example",
     "a@exam*.com", "@ex*.com", "@*.*.com", "@..example.com", ".*@b.example", "j\u00fc rg@b.example",
     "a b@c.example", "@-x-.example", "**@*", "app@*",
     "@*example.com", "app@*example.com", "app@local", "app@.local", "news-*@local"],
)  # fmt: skip
def test_what_is_no_grant_is_refused_with_its_mend(written: str) -> None:
    with pytest.raises(WrongValueError) as raised:
        parse_grant(written)
    assert "news-*@example.com" in raised.value.wrongs[0].mend


GRANTS = (
    "app@example.com", "news-*@example.com", "*-bot@example.com", "a*b*c@example.com",
    "@whole.example", "@.below.example", "ops@.teams.example", "run-*@.teams.example",
    "@xn--grn-ioa.example", "@.xn--grn-ioa.example", '"a b"@quoted.example', "tag+x@tags.example",
    "strasse@utf8.example", "j\u00fcrg@utf8.example", '"*"@star.example', '"n-*"@star.example',
    "ab*ba@pieces.example", "x*yy*yy*z@pieces.example",
)  # fmt: skip


@pytest.mark.rfc("6409#6.1")
@pytest.mark.parametrize(
    ("address", "tags", "owned"),
    [
        # addresses, their case and quotes
        ("app@example.com", "", True),
        ("App@Example.COM", "", True),
        ('"app"@example.com', "", True),
        ('"APP"@example.com', "", True),
        ("other@example.com", "", False),
        ("app@sub.example.com", "", False),
        ("app@example.com.evil.test", "", False),
        ("app@notexample.com", "", False),
        ('"a b"@quoted.example', "", True),
        ('"A B"@quoted.example', "", True),
        ('"a  b"@quoted.example', "", False),
        # patterns
        ("news-@example.com", "", True),
        ("news-daily@example.com", "", True),
        ("NEWS-Daily@example.com", "", True),
        ("news@example.com", "", False),
        ("xnews-a@example.com", "", False),
        ("news-a@sub.example.com", "", False),
        ('"news- x"@example.com', "", False),
        ("x-bot@example.com", "", True),
        ("-bot@example.com", "", True),
        ("x-bots@example.com", "", False),
        ("abc@example.com", "", True),
        ("axxbyyc@example.com", "", True),
        ("acb@example.com", "", False),
        ("ab@example.com", "", False),
        ("axc@example.com", "", False),
        # no letter stands for two pieces of a pattern
        ("abba@pieces.example", "", True),
        ("aba@pieces.example", "", False),
        ("xyyyyz@pieces.example", "", True),
        ("xyyyz@pieces.example", "", False),
        # a whole domain
        ("anyone@whole.example", "", True),
        ('"any one"@WHOLE.example', "", True),
        ("a.b+c*d@whole.example", "", True),
        ("anyone@sub.whole.example", "", False),
        ("anyone@notwhole.example", "", False),
        # what is below a domain
        ("any@a.below.example", "", True),
        ("any@A.B.below.example", "", True),
        ("any@below.example", "", False),
        ("any@xbelow.example", "", False),
        ("ops@red.teams.example", "", True),
        ("ops@teams.example", "", False),
        ("run-1@a.b.teams.example", "", True),
        ("root@red.teams.example", "", False),
        # IDN
        ("a@gr\u00fcn.example", "", True),
        ("a@GR\u00dcN.example", "", True),
        ("a@xn--grn-ioa.example", "", True),
        ("a@sub.gr\u00fcn.example", "", True),
        ("a@gru\u0308n.example", "", True),
        # local parts that are not ASCII: case and composition do not matter, letters do
        ("STRASSE@utf8.example", "", True),
        ("stra\u00dfe@utf8.example", "", False),
        ("J\u00dcRG@utf8.example", "", True),
        ("ju\u0308rg+x@utf8.example", "+", True),
        ("jurg@utf8.example", "", False),
        # tags
        ("app+tag@example.com", "", False),
        ("app+tag@example.com", "+", True),
        ("app+a+b@example.com", "+", True),
        ("app+@example.com", "+", True),
        ("app-tag@example.com", "+", False),
        ("app-tag@example.com", "+-", True),
        ("+app@example.com", "+", False),
        ("appx+tag@example.com", "+", False),
        ('"app+tag"@example.com', "+", True),
        ('"app+my tag"@example.com', "+", False),
        ('"x-bot+my tag"@example.com', "+", False),
        ("x-bot+tag@example.com", "+", True),
        ("ops+x@red.teams.example", "+", True),
        ("tag@tags.example", "+", False),
        ("tag+x+y@tags.example", "+", True),
        ("tag+y@tags.example", "+", False),
        # an asterisk in quotes is one
        ('"*"@star.example', "", True),
        ("*@star.example", "", True),
        ('"n-*"@star.example', "", True),
        ("n-*@star.example", "", True),
        ("n-x@star.example", "", False),
        ("anybody@star.example", "", False),
        ('"news-*"@example.com', "", True),
        ("news-*@example.com", "", True),
        ('"a*"@example.com', "", False),
        ('"*"@whole.example', "", True),
        # what is no address
        ('"x@whole.example"@evil.example', "+", False),
        ('"app@example.com', "+", False),
        ("app", "+", False),
        ("", "+", False),
        ("@whole.example", "+", False),
        ("@.below.example", "+", False),
        ("ops@.teams.example", "+", False),
        ("x@a..below.example", "+", False),
        ("whole.example", "+", False),
        ("a@[192.0.2.1]", "+", False),
        ("*", "+", False),
    ],
)
def test_what_grants_name(address: str, tags: str, owned: bool) -> None:
    assert owns(GRANTS, address, tags) is owned


def test_everything_is_everything_that_is_an_address() -> None:
    assert owns(("*",), "anybody@anywhere.example")
    assert owns(("*",), "a@[192.0.2.1]")
    assert not owns(("*",), "nobody")
    assert not owns(("*",), "@example.com")


@pytest.mark.parametrize(
    ("grants", "grant", "covered"),
    [
        (("@example.com",), "app@example.com", True),
        (("@example.com",), "news-*@example.com", True),
        (("@example.com",), "@example.com", True),
        (("@example.com",), "@.example.com", False),
        (("@.example.com",), "@.news.example.com", True),
        (("@.example.com",), "@news.example.com", True),
        (("@.example.com",), "@example.com", False),
        (("news-*@example.com",), "news-a*@example.com", True),
        (("news-*@example.com",), "news*@example.com", False),
        (("news-*@example.com",), "@example.com", False),
        (("app@example.com",), "app+x@example.com", True),
        (("app@example.com",), "app*@example.com", False),
        (("ops@.example.com",), "ops@a.example.com", True),
        (("ops@.example.com",), "@a.example.com", False),
        (("*",), "@example.com", True),
        (("*",), "*", True),
        (("@example.com",), "*", False),
        ((), "app@example.com", False),
    ],
)
def test_a_grant_within_others(grants: tuple[str, ...], grant: str, covered: bool) -> None:
    assert covers(grants, grant) is covered


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("A@B.test", "a@b.test"), ("@B.Test", "@b.test"), ("a", None), ("a@", None),
        ('"a.b"@c.test', "a.b@c.test"), ('"a..b"@c.test', '"a..b"@c.test'),
        ('".a"@c.test', '".a"@c.test'), ("e\u0301@b.test", "\u00e9@b.test"),
    ],
)  # fmt: skip
def test_canonical_form(address: str, form: str | None) -> None:
    assert canonical(address) == form


@pytest.mark.rfc("5321#4.5.3.1")
def test_the_longest_address_is_somebodys_and_a_longer_one_nobodys() -> None:
    domain = ".".join(("d" * 63, "d" * 63, "d" * 63, "d" * 55, "example"))
    longest = f"{'a' * 64}@{domain}"
    assert len(longest) == 320
    assert owns((longest,), longest)
    assert canonical(longest) == longest
    assert canonical(f"{longest}e") is None


@given(st.text(max_size=40))
def test_canonical_never_raises_and_is_stable(address: str) -> None:
    form = canonical(address)
    if form is not None:
        assert canonical(form) == form


NAMES = st.text("ab*", min_size=1, max_size=6)


@given(NAMES, st.text("ab", min_size=1, max_size=8), NAMES)
def test_a_covered_pattern_names_nothing_more(wide: str, name: str, narrow: str) -> None:
    wide, narrow = f"{wide}@x.test", f"{narrow}@x.test"
    if covers((parse_grant(wide),), parse_grant(narrow)) and owns(
        (parse_grant(narrow),), f"{name}@x.test"
    ):
        assert owns((parse_grant(wide),), f"{name}@x.test")


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["", "+", "+-"]))
def test_whatever_is_asked_gets_an_answer(local_part: str, domain: str, tags: str) -> None:
    assert owns(GRANTS, f"{local_part}@{domain}", tags) in {True, False}


def test_no_pattern_takes_long() -> None:
    grant = parse_grant("a*" * 30 + "b@x.test")
    began = time.thread_time()
    assert not owns((grant,), "a" * 250 + "@x.test", "+")
    assert not owns((grant,), "+".join("a" * 120) + "@x.test", "+")
    assert time.thread_time() - began < 0.5


@pytest.mark.rfc("6531#3.3")
def test_an_address_beyond_ascii_is_granted_however_it_is_written() -> None:
    grant = parse_grant("J\u00fcrg@B\u00fccher.example")
    assert grant == "j\u00fcrg@xn--bcher-kva.example"
    assert owns((grant,), "JU\u0308RG@xn--bcher-kva.example")
