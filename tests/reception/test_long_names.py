"""What a stranger may make us normalise is short: Unicode's order of marks takes quadratic time."""

import time
from datetime import UTC, datetime

import pytest

from gatepost.model.grant import canonical, owns
from gatepost.reception.fixups import Completed, Facts, complete
from gatepost.wire.message.addresses import addresses_of
from gatepost.wire.message.header import Flaw, HeaderFault
from gatepost.wire.message.limits import ADDRESS_FIELD
from gatepost.wire.message.trace import Hop
from gatepost.wire.sasl.prep import prepare_name, saslprep
from gatepost.wire.smtp.replies import Reply

MARKS = "\u0316\u0300"


def test_a_long_address_is_nobodys_and_costs_nothing() -> None:
    began = time.thread_time()
    assert not owns(("@x.test",), f"a{MARKS * 60_000}@x.test")
    assert canonical(f"{'a' * 250_000}@x.test") is None
    assert time.thread_time() - began < 0.5
    assert owns(("@x.test",), f"a{MARKS}@x.test")


@pytest.mark.parametrize("prepare", [prepare_name, saslprep])
def test_a_long_name_is_refused(prepare: object) -> None:
    with pytest.raises(ValueError, match="too long"):
        prepare(f"a{MARKS * 2000}")  # type: ignore[operator]


def test_a_long_name_of_ascii_is_refused_too() -> None:
    with pytest.raises(ValueError, match="too long"):
        prepare_name("a" * 1025)


@pytest.mark.parametrize("octets", [b"a.a", b"<<<", b"a@b.test, "])
def test_a_field_of_addresses_has_its_bound(octets: bytes) -> None:
    value = octets * (250_000 // len(octets))
    assert addresses_of(value) == HeaderFault(Flaw.LONG_ADDRESSES)
    assert addresses_of(b" " * (ADDRESS_FIELD - 8) + b"a@b.test") == ("a@b.test",)


_MUCH = "more than 64 KiB of addresses in fields that are not ASCII"


def _submitted(fields: bytes) -> Completed | Reply:
    hop = Hop("c.test", "192.0.2.7", "relay.test", "1", datetime(2026, 1, 1, tzinfo=UTC))
    return complete(fields + b"\r\nx\r\n", Facts(hop, is_submission=True, reverse_path="a@b.test"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (b"To: \xc3\xa9 <a@b.test>,\r\n" + b" \xc3\xa9 <a@b.test>,\r\n" * 4500, _MUCH),
        (b"To: \xc3\xa9 <a@b.test>\r\nCc: " + b"(\xc3\xa9)\r\n " * 9500 + b"a@b.test\r\n", _MUCH),
        (
            b"Resent-From: a@b.test, b@b.test, c@b.test, d@b.test\r\n" * 400,
            "Resent-From: header field of addresses is longer than 16 KiB",
        ),
    ],
)
def test_fields_read_word_by_word_have_a_bound_together(fields: bytes, says: str) -> None:
    reply = _submitted(b"From: a@b.test\r\n" + fields)
    assert isinstance(reply, Reply)
    assert reply.code == 554
    assert says in reply.text


def test_many_recipients_in_ascii_are_no_matter() -> None:
    made = _submitted(
        b"From: \xc3\xa9 <a@b.test>\r\nTo: " + b"a@b.test,\r\n " * 12_000 + b"a@b.test\r\n"
    )
    assert isinstance(made, Completed)
    assert b"=?utf-8?B?" in b"".join(made.octets)
