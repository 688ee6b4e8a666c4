"""What is remembered of destinations is bounded, however many there are and however much they say."""

import asyncio
from random import Random
from typing import Any

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.known_sites import KnownSites
from gatepost.delivery.lookup import Lookup, Ourselves
from gatepost.delivery.routing import Hop
from gatepost.delivery.site import Host, Kind, Site, targets
from gatepost.model.route import ViaMx
from gatepost.net.dialer import happy_order
from gatepost.returns.outcome import deferred
from gatepost.wire.records.mx import MxAnswer, MxRecord, mx_answer


def site(number: int, hosts: int = 1) -> Site:
    names = [f"mx{n}.site{number}.test" for n in range(hosts)]
    return Site(f"mx:{number}", Kind.SMTP, tuple(Host(n, 10, ("192.0.2.1",), 25) for n in names))


def test_a_site_is_believed_for_its_time() -> None:
    known = KnownSites()
    known.put("a", site(1), 10.0)
    assert known.get("a", 10.0) == site(1)
    assert known.get("a", 10.1) is None
    assert known.get("b", 0.0) is None


def test_the_oldest_are_forgotten_where_there_is_too_much() -> None:
    known = KnownSites(most_octets=20_000)
    for number in range(1000):
        known.put(number, site(number), 10.0)
    assert known.octets <= 20_000
    assert 10 < len(known) < 100
    assert known.get(999, 0.0) == site(999)
    assert known.get(0, 0.0) is None
    known.put("large", site(0, hosts=50), 10.0)
    assert known.get("large", 0.0) is not None
    assert known.octets <= 20_000


def test_what_is_found_anew_counts_once_and_is_the_youngest() -> None:
    known = KnownSites(most_octets=2_000)
    known.put("a", site(1), 10.0)
    known.put("b", deferred("4.4.3", "DNS trouble"), 10.0)
    octets = known.octets
    known.put("a", site(1), 20.0)
    assert (len(known), known.octets) == (2, octets)
    known.put("c", site(2), 20.0)
    assert known.get("a", 20.0) == site(1)
    assert known.get("b", 0.0) is None


class Generous:
    """Fifty hosts with long names for each domain, and twenty addresses for each host."""

    async def mx(self, domain: str, share: object = None) -> MxAnswer:
        return mx_answer(domain, [MxRecord(10, f"h{n}.{'x' * 60}.{domain}") for n in range(50)])

    async def addresses(self, host: str, share: object = None) -> tuple[str, ...]:
        return (*(f"192.0.2.{n}" for n in range(1, 16)), *(f"2001:db8::{n}" for n in range(1, 6)))


async def test_of_a_domain_that_names_a_thousand_addresses_few_are_kept() -> None:
    resolver: Any = Generous()
    ourselves = Ourselves.listening_on("relay.test", ())
    lookup = Lookup(resolver, ourselves, Bounds(), time=asyncio.get_running_loop().time)
    hop = Hop(ViaMx(), "a@evil.test", "evil.test")
    found = await lookup.find(hop)
    assert isinstance(found, Site)
    assert len(found.hosts) == 50
    assert all(h.addresses == ("192.0.2.1", "2001:db8::1") for h in found.hosts)
    assert len(found.key) < 100
    assert lookup.known(hop) == found
    # What was in the same order has the same key, however long.
    assert await lookup.find(hop) == found


async def test_a_host_by_itself_keeps_more_addresses_than_an_attempt_tries() -> None:
    class One(Generous):
        async def mx(self, domain: str, share: object = None) -> MxAnswer:
            return mx_answer(domain, [])

    resolver: Any = One()
    ourselves = Ourselves.listening_on("relay.test", ())
    lookup = Lookup(resolver, ourselves, Bounds(), time=asyncio.get_running_loop().time)
    found = await lookup.find(Hop(ViaMx(), "a@one.test", "one.test"))
    assert isinstance(found, Site)
    all_of_them = await One().addresses("one.test")
    assert found.hosts[0].addresses == all_of_them
    chosen = targets(found.hosts, Random(1), Bounds().addresses)
    assert [t.address.host for t in chosen] == list(happy_order(all_of_them)[:8])
