"""Whose addresses they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.reception.ownership import (
    NotOwned,
    canonical,
    judge_from,
    judge_reverse_path,
    owns,
)

SENDERS = ("app@example.com", "@whole.example", "@xn--grn-ioa.example")


@pytest.mark.rfc("6409#6.1")
@pytest.mark.parametrize(
    ("address", "owned"),
    [
        ("app@example.com", True),
        ("App@Example.COM", True),
        ('"app"@example.com', True),
        ("other@example.com", False),
        ("app@sub.example.com", False),
        ("app+tag@example.com", False),
        ("anyone@whole.example", True),
        ('"any one"@WHOLE.example', True),
        ("anyone@sub.whole.example", False),
        ("anyone@notwhole.example", False),
        ("a@gr\u00fcn.example", True),
        ("a@xn--grn-ioa.example", True),
        ('"x@whole.example"@evil.example', False),
        ('"app@example.com', False),
        ("app", False),
        ("", False),
        ("@whole.example", False),
        ("whole.example", False),
    ],
)
def test_an_address_or_a_whole_domain_is_owned(address: str, owned: bool) -> None:
    assert owns(SENDERS, address) is owned
    assert judge_reverse_path(SENDERS, address) == (
        None if owned or not address else NotOwned(address, SENDERS)
    )


@pytest.mark.rfc("6409#3.2")
def test_the_null_reverse_path_is_everybodys() -> None:
    assert judge_reverse_path((), "") is None


@pytest.mark.parametrize(
    ("authors", "sender", "offender"),
    [
        (["app@example.com"], [], None),
        (["app@example.com", "b@whole.example"], ["c@whole.example"], None),
        (["app@example.com", "evil@other.test"], [], "evil@other.test"),
        (["app@example.com"], ["evil@other.test"], "evil@other.test"),
        (["evil@other.test"], ["app@example.com"], "evil@other.test"),
        ([], ["app@example.com"], ""),
    ],
)
def test_all_of_from_and_sender_must_be_owned(
    authors: list[str], sender: list[str], offender: str | None
) -> None:
    found = judge_from(SENDERS, authors, sender)
    assert found == (None if offender is None else NotOwned(offender, SENDERS))


def test_the_refusal_names_the_address_and_the_allowed_ones() -> None:
    reply = NotOwned("evil@other.test", SENDERS).reply
    assert "evil@other.test; it may send as app@example.com, @whole.example" in reply.text
    many = tuple(f"a{n}@b.test" for n in range(9))
    assert NotOwned("x@y.test", many).reply.text.endswith("a4@b.test and 4 more")
    assert len(NotOwned("x" * 900, many).reply.octets) <= 512
    assert b"\n" not in NotOwned("x\r\n250 y", ()).reply.octets[:-2]


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


@given(st.text(max_size=40))
def test_canonical_never_raises_and_is_stable(address: str) -> None:
    form = canonical(address)
    if form is not None:
        assert canonical(form) == form
