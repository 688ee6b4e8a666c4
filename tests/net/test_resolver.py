"""The resolver against a real server on loopback."""

import asyncio
from pathlib import Path

import pytest

from gatepost.model.settings import DnsSettings
from gatepost.net.address import SocketAddress
from gatepost.net.resolver import (
    DnsTemporaryError,
    NoSuchDomainError,
    Resolver,
    resolver_from,
    system_resolvers,
)
from gatepost.wire.records.mx import MxRecord
from tests.dns_server import DnsServer


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resolver(dns_server: DnsServer, clock: Clock, tmp_path: Path) -> Resolver:
    return Resolver(
        [dns_server.address], hosts_file=tmp_path / "hosts", patience=30.0, clock=clock
    )  # fmt: skip


async def test_mx_records_come_sorted(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("example.com", "MX", "20 b.example.com.", "10 A.example.com.")
    answer = await resolver.mx("Example.COM.")
    assert answer.domain == "example.com"
    assert answer.records == (MxRecord(10, "a.example.com"), MxRecord(20, "b.example.com"))
    assert not answer.null_mx
    assert not answer.implicit
    assert not answer.authenticated


@pytest.mark.rfc("5321#5.1")
async def test_a_domain_without_mx_stands_for_itself(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("example.com", "A", "192.0.2.1")
    answer = await resolver.mx("example.com")
    assert answer.implicit
    assert answer.records == (MxRecord(0, "example.com"),)
    assert await resolver.addresses("example.com") == ("192.0.2.1",)


@pytest.mark.rfc("7505#3")
async def test_a_null_mx_is_told(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("example.com", "MX", "0 .")
    assert (await resolver.mx("example.com")).null_mx


@pytest.mark.rfc("5321#5.1")
@pytest.mark.parametrize("server_follows", [True, False])
async def test_aliases_are_followed(
    dns_server: DnsServer, resolver: Resolver, server_follows: bool
):
    dns_server.behaviour.first_alias_only = not server_follows
    dns_server.add("www.example.com", "CNAME", "a.example.com.")
    dns_server.add("a.example.com", "CNAME", "example.com.")
    dns_server.add("example.com", "MX", "10 mx.example.com.")
    dns_server.add("example.com", "AAAA", "2001:db8::1")
    assert (await resolver.mx("www.example.com")).records == (MxRecord(10, "mx.example.com"),)
    assert await resolver.addresses("www.example.com") == ("2001:db8::1",)


async def test_aliases_in_a_circle_end(dns_server: DnsServer, resolver: Resolver):
    dns_server.behaviour.first_alias_only = True
    dns_server.add("a.test", "CNAME", "b.test.")
    dns_server.add("b.test", "CNAME", "a.test.")
    with pytest.raises(DnsTemporaryError, match="aliases"):
        await resolver.mx("a.test")


@pytest.mark.rfc("5321#5.1")
@pytest.mark.parametrize(
    "name",
    ["nowhere.test", "", ".", "a..b", "x" * 64 + ".test", "a." * 130 + "test", "bücher.test",
     "a b.test", "a\\.b.test", "a\n.test"],
)  # fmt: skip
async def test_what_does_not_exist_is_said(dns_server: DnsServer, resolver: Resolver, name: str):
    with pytest.raises(NoSuchDomainError):
        await resolver.mx(name)
    with pytest.raises(NoSuchDomainError):
        await resolver.addresses(name)


async def test_an_alias_that_leads_nowhere_does_not_exist(
    dns_server: DnsServer, resolver: Resolver
):
    dns_server.add("example.com", "CNAME", "gone.test.")
    with pytest.raises(NoSuchDomainError, match=r"example\.com"):
        await resolver.mx("example.com")


async def test_ipv4_comes_first_and_both_are_asked(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("mx.test", "A", "192.0.2.1", "192.0.2.2")
    dns_server.add("mx.test", "AAAA", "2001:db8::1")
    found = await resolver.addresses("mx.test")
    assert set(found[:2]) == {"192.0.2.1", "192.0.2.2"}  # dnspython's server side shuffles
    assert found[2:] == ("2001:db8::1",)


async def test_a_host_without_addresses_has_none(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("mx.test", "TXT", '"hello"')
    assert await resolver.addresses("mx.test") == ()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[192.0.2.1]", "192.0.2.1"),
        ("[IPv6:2001:DB8::1]", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
async def test_a_literal_is_its_own_answer(
    dns_server: DnsServer, resolver: Resolver, host: str, address: str
):
    assert await resolver.addresses(host) == (address,)
    assert dns_server.count == 0


async def test_the_hosts_file_goes_first(dns_server: DnsServer, tmp_path: Path):
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 smart.test\n127.0.0.9 Smart.test other # x\nbad line\n\n")
    resolver = Resolver([dns_server.address], hosts_file=hosts)
    assert await resolver.addresses("smart.test") == ("127.0.0.9", "::1")
    assert await resolver.addresses("localhost") == ("127.0.0.1", "::1")
    assert dns_server.count == 0


# -- the cache


async def test_an_answer_is_kept_for_its_time(
    dns_server: DnsServer, resolver: Resolver, clock: Clock
):
    dns_server.add("example.com", "MX", "10 old.test.", ttl=60)
    await resolver.mx("example.com")
    dns_server.add("example.com", "MX", "10 new.test.", ttl=60)
    clock.time += 59
    assert (await resolver.mx("example.com")).records[0].host == "old.test"
    assert dns_server.count == 1
    clock.time += 1
    assert (await resolver.mx("example.com")).records[0].host == "new.test"
    assert dns_server.count == 2


async def test_absence_is_kept_for_the_soas_minimum(
    dns_server: DnsServer, resolver: Resolver, clock: Clock
):
    dns_server.negative_ttl = 30
    for _ in range(2):
        with pytest.raises(NoSuchDomainError):
            await resolver.mx("new.test")
    assert dns_server.count == 1
    dns_server.add("new.test", "MX", "10 mx.test.")
    clock.time += 30
    assert (await resolver.mx("new.test")).records


async def test_an_answer_without_time_to_live_is_not_kept(
    dns_server: DnsServer, resolver: Resolver
):
    dns_server.add("example.com", "MX", "10 mx.test.", ttl=0)
    await resolver.mx("example.com")
    await resolver.mx("example.com")
    assert dns_server.count == 2


async def test_a_failure_is_kept_for_a_moment(
    dns_server: DnsServer, resolver: Resolver, clock: Clock
):
    dns_server.add("example.com", "MX", "10 mx.test.")
    dns_server.for_name("example.com").rcode = "SERVFAIL"
    for _ in range(3):
        with pytest.raises(DnsTemporaryError, match="SERVFAIL from 127"):
            await resolver.mx("example.com")
    assert dns_server.count == 1
    dns_server.for_name("example.com").rcode = None
    clock.time += 2
    assert (await resolver.mx("example.com")).records


async def test_the_same_question_is_asked_once_at_a_time(dns_server: DnsServer, resolver: Resolver):
    dns_server.behaviour.delay = 0.05
    dns_server.add("example.com", "MX", "10 mx.test.", ttl=0)
    answers = await asyncio.gather(*(resolver.mx("example.com") for _ in range(50)))
    assert len(set(answers)) == 1
    assert dns_server.count == 1


async def test_one_who_gives_up_does_not_spoil_it_for_the_others(
    dns_server: DnsServer, resolver: Resolver
):
    dns_server.behaviour.delay = 0.05
    dns_server.add("example.com", "MX", "10 mx.test.")
    first = asyncio.ensure_future(resolver.mx("example.com"))
    second = asyncio.ensure_future(resolver.mx("example.com"))
    while not dns_server.count:
        await asyncio.sleep(0.001)
    first.cancel()
    assert (await second).records
    assert dns_server.count == 1


async def test_the_cache_is_bounded(
    dns_server: DnsServer, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gatepost.net.resolver._MOST_ENTRIES", 3)
    for n in range(6):
        dns_server.add(f"d{n}.test", "MX", "10 mx.test.")
        await resolver.mx(f"d{n}.test")
    assert len(resolver._cache) == 3
    await resolver.mx("d5.test")
    assert dns_server.count == 6


async def test_a_stranger_cannot_make_us_try_without_end(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("many.test", "MX", *[f"{n} mx{n}.test." for n in range(300)])
    dns_server.add("mx.test", "A", *[f"10.0.{n}.1" for n in range(200)])
    records = (await resolver.mx("many.test")).records
    assert [r.preference for r in records] == list(range(50))
    assert dns_server.by_tcp == 1
    assert len(await resolver.addresses("mx.test")) == 20


async def test_a_long_answer_is_used_and_not_kept(dns_server: DnsServer, resolver: Resolver):
    """The cache is full of what strangers put there: its entries are small."""
    dns_server.add("long.test", "TXT", *[f'"{n} {"x" * 200}"' for n in range(70)])
    for count in (1, 2):
        assert len(await resolver.records("long.test", "TXT")) == 70
        assert dns_server.by_tcp == count
    dns_server.add("many.test", "A", *[f"10.0.{n // 250}.{n % 250}" for n in range(400)])
    await resolver.records("many.test", "A")
    await resolver.records("many.test", "A")
    assert dns_server.by_tcp == 4


# -- the exchange


async def test_an_answer_of_64_kilobytes_is_not_read(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("huge.test", "TXT", *[f'"{n} {"x" * 200}"' for n in range(100)])
    with pytest.raises(DnsTemporaryError, match="16 KiB"):
        await resolver.records("huge.test", "TXT")


async def test_a_truncated_answer_is_fetched_by_tcp(dns_server: DnsServer, resolver: Resolver):
    for flag in ("truncate", "cut"):
        dns_server.for_name(f"{flag}.test")
        setattr(dns_server.for_name(f"{flag}.test"), flag, True)
        dns_server.add(f"{flag}.test", "MX", *[f"10 mx{n}.{flag}.test." for n in range(40)])
        assert len((await resolver.mx(f"{flag}.test")).records) == 40
    assert dns_server.by_tcp == 2
    assert dns_server.with_edns == dns_server.count


async def test_datagrams_that_are_no_answer_are_passed_over(
    dns_server: DnsServer, resolver: Resolver
):
    dns_server.behaviour.garbage = True
    dns_server.add("example.com", "MX", "10 mx.test.")
    assert (await resolver.mx("example.com")).records == (MxRecord(10, "mx.test"),)


async def test_a_resolver_that_knows_no_edns_is_asked_without(
    dns_server: DnsServer, resolver: Resolver
):
    dns_server.behaviour.no_edns = True
    dns_server.add("example.com", "MX", "10 mx.test.")
    assert (await resolver.mx("example.com")).records
    assert (dns_server.count, dns_server.with_edns) == (2, 1)


async def test_the_ad_bit_is_kept_through_the_cache(dns_server: DnsServer, resolver: Resolver):
    dns_server.authenticated = True
    dns_server.add("example.com", "MX", "10 mx.test.")
    assert (await resolver.mx("example.com")).authenticated
    assert (await resolver.mx("example.com")).authenticated
    assert dns_server.count == 1


@pytest.mark.parametrize("fault", ["silent", "SERVFAIL", "REFUSED", "closed"])
async def test_the_next_resolver_is_asked_and_remembered(dns_server: DnsServer, fault: str):
    async with DnsServer() as bad:
        if fault == "closed":
            await bad.__aexit__()
        elif fault == "silent":
            bad.behaviour.silent = True
        else:
            bad.behaviour.rcode = fault
        resolver = Resolver(
            [bad.address, dns_server.address], patience=3.0 if fault == "silent" else 30.0
        )
        for n in range(3):
            dns_server.add(f"d{n}.test", "MX", "10 mx.test.")
            assert (await resolver.mx(f"d{n}.test")).records
        assert dns_server.count == 3
        assert bad.count <= 1


async def test_silence_everywhere_is_a_temporary_error_within_the_time(dns_server: DnsServer):
    dns_server.behaviour.silent = True
    resolver = Resolver([dns_server.address], patience=0.05)
    async with asyncio.timeout(30):
        with pytest.raises(DnsTemporaryError, match="no answer from 127"):
            await resolver.mx("example.com")
    assert dns_server.count == 2
    await resolver.close()


async def test_a_silent_tcp_port_is_a_temporary_error(dns_server: DnsServer, resolver: Resolver):
    dns_server.behaviour.truncate = True
    dns_server.add("example.com", "MX", "10 mx.test.")
    assert dns_server._server is not None
    dns_server._server.close()
    with pytest.raises(DnsTemporaryError, match="from 127"):
        await resolver.mx("example.com")


@pytest.mark.parametrize(("broken", "left"), [("A", ("2001:db8::1",)), ("AAAA", ("192.0.2.1",))])
async def test_half_an_answer_about_addresses_is_used(
    dns_server: DnsServer, resolver: Resolver, broken: str, left: tuple[str, ...]
):
    dns_server.add("mx.test", "A", "192.0.2.1")
    dns_server.add("mx.test", "AAAA", "2001:db8::1")
    dns_server.remove("mx.test", broken)
    dns_server.for_kind(broken).rcode = "SERVFAIL"
    assert await resolver.addresses("mx.test") == left


async def test_no_address_needs_both_halves(dns_server: DnsServer, resolver: Resolver):
    dns_server.add("mx.test", "TXT", '"x"')
    dns_server.for_kind("AAAA").rcode = "SERVFAIL"
    with pytest.raises(DnsTemporaryError):
        await resolver.addresses("mx.test")


async def test_closing_gives_up_what_is_on_its_way(dns_server: DnsServer, resolver: Resolver):
    dns_server.behaviour.silent = True
    waiting = asyncio.ensure_future(resolver.mx("example.com"))
    while not dns_server.count:
        await asyncio.sleep(0.001)
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


# -- whom to ask


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("nameserver 192.0.2.1\nnameserver ::1\n", ["192.0.2.1:53", "[::1]:53"]),
        ("# x\nsearch a b\nnameserver fe80::1%eth0\nnameserver not-an-ip\n", ["[fe80::1]:53"]),
        ("options edns0\n", ["127.0.0.1:53"]),
        (None, ["127.0.0.1:53"]),
    ],
)
def test_the_systems_resolvers_are_read(tmp_path: Path, text: str | None, addresses: list[str]):
    file = tmp_path / "resolv.conf"
    if text is not None:
        file.write_text(text)
    assert [str(a) for a in system_resolvers(file)] == addresses


def test_resolvers_come_from_the_settings():
    resolver = resolver_from(DnsSettings(resolvers=("192.0.2.1:5353",)))
    assert resolver._exchange._servers == [SocketAddress("192.0.2.1", 5353)]
    with pytest.raises(ValueError):
        resolver_from(DnsSettings(resolvers=("dns.example:53",)))
