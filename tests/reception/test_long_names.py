"""What a stranger may make us normalise is short: Unicode's order of marks takes quadratic time."""

import time

import pytest

from gatepost.model.grant import canonical, owns
from gatepost.wire.message.addresses import addresses_of
from gatepost.wire.message.header import Flaw, HeaderFault
from gatepost.wire.message.limits import ADDRESS_FIELD
from gatepost.wire.sasl.prep import prepare_name, saslprep

MARKS = "\u0316\u0300"


def test_a_long_address_is_nobodys_and_costs_nothing() -> None:
    began = time.perf_counter()
    assert not owns(("@x.test",), f"a{MARKS * 60_000}@x.test")
    assert canonical(f"{'a' * 250_000}@x.test") is None
    assert time.perf_counter() - began < 0.5
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
