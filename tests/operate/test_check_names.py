"""Source addresses and their names, asked of a real DNS server."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatepost.model.settings import DnsSettings, RouteSettings
from gatepost.model.settings_egress import EgressSettings
from gatepost.net.resolver import Resolver
from gatepost.operate.check import Proof, check
from gatepost.operate.check_finding import Grade
from gatepost.operate.check_names import dns_findings, look_at, name_findings
from gatepost.operate.configuration import load
from gatepost.operate.init import init
from tests.dns_server import DnsServer

FOUR, SIX = "8.8.4.4", "2001:4860::5"
NAME = "mail1.example.com"


def add(dns: DnsServer, ptr: dict[str, tuple[str, ...]], addresses: dict[str, str]) -> None:
    for address, names in ptr.items():
        pointer = "4.4.8.8.in-addr.arpa" if address == FOUR else six_pointer()
        dns.add(pointer, "PTR", *(f"{name}." for name in names))
    for name, address in addresses.items():
        dns.add(name, "AAAA" if ":" in address else "A", address)


def six_pointer() -> str:
    digits = "20014860" + "0" * 23 + "5"
    return ".".join(reversed(digits)) + ".ip6.arpa"


@pytest.mark.parametrize(
    ("address", "ptr", "addresses", "grade", "what"),
    [
        (FOUR, {FOUR: (NAME,)}, {NAME: FOUR}, Grade.FINE, "which has this address"),
        (FOUR, {FOUR: ("Mail1.Example.COM",)}, {NAME: FOUR}, Grade.FINE, "which has"),
        (SIX, {SIX: (NAME,)}, {NAME: SIX}, Grade.FINE, "which has this address"),
        (FOUR, {FOUR: ("other.test", NAME)}, {NAME: FOUR}, Grade.FINE, "which has"),
        (FOUR, {}, {NAME: FOUR}, Grade.WARNING, "no PTR record"),
        (FOUR, {FOUR: (NAME,)}, {}, Grade.WARNING, "that name has not this address"),
        (FOUR, {FOUR: (NAME,)}, {NAME: "8.8.8.8"}, Grade.WARNING, "has not this address"),
        (SIX, {SIX: (NAME,)}, {NAME: FOUR}, Grade.WARNING, "has not this address"),
        (FOUR, {FOUR: ("a.test",)}, {"a.test": FOUR}, Grade.WARNING, "calls as mail1.example.com"),
        (
            FOUR,
            {FOUR: ("a.test",)},
            {"a.test": FOUR, NAME: FOUR},
            Grade.WARNING,
            "some receivers mind",
        ),
    ],
)
async def test_an_address_has_the_name_that_it_calls_as(
    address: str,
    ptr: dict[str, tuple[str, ...]],
    addresses: dict[str, str],
    grade: Grade,
    what: str,
) -> None:
    async with DnsServer() as dns:
        add(dns, ptr, addresses)
        resolver = Resolver([dns.address])
        found = await look_at(resolver, address, NAME)
        await resolver.close()
    assert found.grade is grade
    assert what in found.what
    assert bool(found.mend) is (grade is not Grade.FINE)


async def test_a_part_of_a_network_may_be_named_by_an_alias() -> None:
    """Whoever has a part of a /24 writes its PTR records behind CNAMEs of who has the whole."""
    async with DnsServer() as dns:
        dns.add("4.4.8.8.in-addr.arpa", "CNAME", "4.0/25.4.8.8.in-addr.arpa.")
        dns.add("4.0/25.4.8.8.in-addr.arpa", "PTR", f"{NAME}.")
        dns.add(NAME, "A", FOUR)
        resolver = Resolver([dns.address])
        found = await look_at(resolver, FOUR, NAME)
        await resolver.close()
    assert found.grade is Grade.FINE


async def test_a_dns_that_does_not_answer_proves_nothing() -> None:
    async with DnsServer() as dns:
        dns.behaviour.rcode = "SERVFAIL"
        resolver = Resolver([dns.address])
        found = await look_at(resolver, FOUR, NAME)
        await resolver.close()
    assert found.grade is Grade.WARNING
    assert "nobody could tell" in found.what


def test_addresses_that_nobody_else_sees_are_not_asked_for(tmp_path: Path) -> None:
    settings = load(init(tmp_path, "relay.example").config, {}).model_copy(
        update={
            "dns": DnsSettings(resolvers=("127.0.0.1:9",)),
            "egress": (
                EgressSettings(name=NAME, ipv4="10.0.0.5", ipv6="fd00::5"),
                EgressSettings(name="b.example.com", ipv4="127.0.0.1"),
            ),
        }
    )
    assert name_findings(settings) == []
    seen = settings.model_copy(update={"egress": (EgressSettings(name=NAME, ipv4=FOUR),)})
    (found,) = name_findings(seen)
    assert "nobody could tell" in found.what
    assert found in check(seen, lambda _: Proof(0, ()), datetime.now(UTC))


@pytest.mark.parametrize(
    ("rcode", "via", "words"),
    [
        ("SERVFAIL", None, "does not tell about relay.example"),
        ("NXDOMAIN", None, ""),
        ("SERVFAIL", "smtp:127.0.0.1:25", ""),
        ("SERVFAIL", "mx", "does not tell about relay.example"),
    ],
)
async def test_a_dns_that_says_nothing_is_told_where_mail_goes_by_mx(
    tmp_path: Path, rcode: str, via: str | None, words: str
) -> None:
    async with DnsServer() as dns:
        dns.behaviour.rcode = rcode
        settings = load(init(tmp_path, "relay.example").config, {}).model_copy(
            update={
                "dns": DnsSettings(resolvers=(f"127.0.0.1:{dns.address.port}",)),
                "routes": (RouteSettings(match=("*",), via=via),) if via else (),
            }
        )
        found = await asyncio.to_thread(dns_findings, settings)
    assert [words in each.what and "4.4.3" in each.mend for each in found] == [True] * bool(words)
