"""Whose addresses they are, and whom an account may write to."""

from datetime import UTC, datetime

import pytest

from gatepost.model.account import Account
from gatepost.model.ids import AccountName
from gatepost.reception.ownership import (
    NotOwned,
    judge_addressee,
    judge_authors,
    judge_resenders,
    judge_reverse_path,
)
from gatepost.wire.smtp.grammar import parse_mailbox

SENDERS = ("app@example.com", "@whole.example")


def account(
    senders: tuple[str, ...] = SENDERS,
    *,
    narrowed: tuple[str, ...] = (),
    recipients: tuple[str, ...] = (),
) -> Account:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return Account(AccountName("app"), senders, made, recipients=recipients, narrowed=narrowed)


@pytest.mark.rfc("6409#3.2")
def test_the_null_reverse_path_is_everybodys() -> None:
    assert judge_reverse_path(account(()), "", "+") is None
    assert judge_reverse_path(account(narrowed=("a@b.test",)), "", "+") is None


@pytest.mark.rfc("6409#6.1")
@pytest.mark.parametrize(
    ("authors", "senders", "refusal"),
    [
        (["app@example.com"], [], None),
        (["app+news@example.com"], [], None),
        (["app@example.com", "b@whole.example"], ["c@whole.example"], None),
        (["app@example.com", "b@whole.example"], [], "554 5.6.0 *Sender is needed*"),
        (["app@example.com"], ["app@example.com", "b@whole.example"], "554 5.6.0 *more than one*"),
        (
            ["app@example.com", "evil@other.test"],
            ["app@example.com"],
            "550 5.7.1 *evil@other.test*",
        ),
        (
            ["evil@other.test", "app@example.com"],
            ["app@example.com"],
            "550 5.7.1 *evil@other.test*",
        ),
        (["app@example.com"], ["evil@other.test"], "550 5.7.1 *evil@other.test*"),
        (["evil@other.test"], ["app@example.com"], "550 5.7.1 *evil@other.test*"),
        ([], ["app@example.com"], "550 5.7.1 *nobody*"),
    ],
)
def test_all_of_from_and_sender_must_be_owned(
    authors: list[str], senders: list[str], refusal: str | None
) -> None:
    reply = judge_authors(account(), authors, senders, "+")
    if refusal is None:
        assert reply is None
    else:
        code, status, words = refusal.split(" ", 2)
        assert reply is not None
        assert (str(reply.code), reply.status) == (code, status)
        assert words.strip("*") in reply.text


@pytest.mark.rfc("5322#3.6.6")
def test_who_resent_it_is_held_to_the_same() -> None:
    assert judge_resenders(account(), (), "+") is None
    assert judge_resenders(account(), ("app+x@example.com", "a@whole.example"), "+") is None
    reply = judge_resenders(account(), ("app@example.com", "evil@other.test"), "+")
    assert reply == NotOwned("evil@other.test", SENDERS).reply


@pytest.mark.parametrize(
    ("senders", "narrowed", "address", "may"),
    [
        (SENDERS, (), "x@whole.example", True),
        (SENDERS, ("x@whole.example",), "x@whole.example", True),
        (SENDERS, ("x@whole.example",), "y@whole.example", False),
        (SENDERS, ("x-*@whole.example",), "x-1@whole.example", True),
        # The account lost a grant since its credential was made: so did the credential.
        (("app@example.com",), ("x@whole.example",), "x@whole.example", False),
        (("*",), ("x@whole.example",), "x@other.example", False),
    ],
)
def test_a_credential_may_what_it_and_its_account_may(
    senders: tuple[str, ...], narrowed: tuple[str, ...], address: str, may: bool
) -> None:
    foreign = judge_reverse_path(account(senders, narrowed=narrowed), address, "+")
    assert foreign == (None if may else NotOwned(address, narrowed))


@pytest.mark.parametrize(
    ("recipients", "forward_path", "may"),
    [
        ((), "anybody@anywhere.example", True),
        (("@example.com",), "bob@example.com", True),
        (("@example.com",), "bob@sub.example.com", False),
        (("@example.com",), "Postmaster", True),
        (("@example.com",), "bob@other.example", False),
        (("@.example.com", "@example.com"), "bob@sub.example.com", True),
        (("alerts-*@ops.example",), "alerts-db@ops.example", True),
        (("alerts-*@ops.example",), "boss@ops.example", False),
        (("bob@example.com",), "bob+x@example.com", True),
        (("bob@example.com",), '"bob"@EXAMPLE.com', True),
    ],
)
def test_an_account_may_be_bound_to_some_recipients(
    recipients: tuple[str, ...], forward_path: str, may: bool
) -> None:
    mailbox = parse_mailbox(forward_path) or parse_mailbox("x@y.test")
    assert mailbox is not None
    if forward_path == "Postmaster":
        mailbox = type(mailbox)("postmaster", "")
    reply = judge_addressee(account(recipients=recipients), mailbox, "+")
    assert (reply is None) is may
    if reply:
        assert (reply.code, reply.status) == (550, "5.7.1")
        assert f"may not write to {forward_path}; it may write to {recipients[0]}" in reply.text


def test_the_refusal_names_the_address_and_the_allowed_ones() -> None:
    reply = NotOwned("evil@other.test", SENDERS).reply
    assert "evil@other.test; it may send as app@example.com, @whole.example" in reply.text
    many = tuple(f"a{n}@b.test" for n in range(9))
    assert NotOwned("x@y.test", many).reply.text.endswith("a4@b.test and 4 more")
    assert len(NotOwned("x" * 900, many).reply.octets) <= 512
    assert b"\n" not in NotOwned("x\r\n250 y", ()).reply.octets[:-2]
