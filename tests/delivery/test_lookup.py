"""From a destination to addresses: what a domain's owner may make us dial."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lookup import Exchangers, Lookup, Ourselves
from gatepost.delivery.routing import Hop
from gatepost.delivery.site import Site
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.route import ViaMx, ViaSmtp
from gatepost.net.resolver import NoSuchDomainError
from gatepost.wire.records.mx import MxAnswer, mx_answer, parse_mx


class Answers:
    """A resolver with a table; counts how many are asked at once."""

    def __init__(self, mx: dict[str, list[str]], addresses: dict[str, tuple[str, ...]]) -> None:
        self.mx_texts = mx
        self.known = addresses
        self.now = self.most = 0

    async def mx(self, domain: str, share: object = None) -> MxAnswer:
        if domain not in self.mx_texts:
            raise NoSuchDomainError(domain)
        return mx_answer(domain, [parse_mx(text) for text in self.mx_texts[domain]])

    async def addresses(self, host: str, share: object = None) -> tuple[str, ...]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return self.known.get(host, ())


async def found(answers: Answers, destination: str, *, local: bool, via: Any = None) -> Any:
    resolver: Any = answers
    lookup = Lookup(
        resolver,
        Ourselves.listening_on("relay.test", ()),
        Bounds(),
        Exchangers(25, local=local),
        time=asyncio.get_running_loop().time,
    )
    return await lookup.find(Hop(via or ViaMx(), f"a@{destination}", destination))


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("192.0.2.1", True),
        ("10.1.2.3", True),
        ("192.168.1.1", True),
        ("2001:db8::1", True),
        ("fd00::1", True),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("0.0.0.0", False),
        ("0.1.2.3", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::127.9.9.9", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::", False),
        ("64:ff9b::c000:201", True),
        ("64:ff9b::10.0.0.1", True),
        ("64:ff9b:1::7f00:1", False),
        ("64:ff9b:1::192.0.2.1", True),
        ("64:ff9b:2::7f00:1", True),
        ("::7f00:1", False),
        ("::ffff:10.0.0.1", True),
    ],
)
def test_addresses_of_this_machine_are_not_dialled_unless_it_is_set(
    address: str, may: bool
) -> None:
    assert Exchangers().may_dial(address)
    assert Exchangers(local=False).may_dial(address) is may


ANSWERS = {
    "evil.test": ["10 mail.evil.test"],
    "half.test": ["10 mail.evil.test", "20 good.test"],
    "ours.test": ["10 relay.test", "20 good.test"],
}
HOSTS = {
    "mail.evil.test": ("127.0.0.1", "::1"),
    "good.test": ("127.0.0.1", "192.0.2.1"),
    "relay.test": ("127.0.1.1",),
}


async def test_a_domain_that_leads_to_the_loopback_is_refused() -> None:
    for destination in ("evil.test", "[127.0.0.1]", "[IPv6:::1]"):
        outcome = await found(Answers(ANSWERS, HOSTS), destination, local=False)
        assert isinstance(outcome, Outcome)
        assert (outcome.kind, outcome.status) == (OutcomeKind.REFUSED, "5.4.4")
        assert isinstance(await found(Answers(ANSWERS, HOSTS), destination, local=True), Site)
    site = await found(Answers(ANSWERS, HOSTS), "half.test", local=False)
    assert [(host.name, host.addresses) for host in site.hosts] == [("good.test", ("192.0.2.1",))]


@pytest.mark.parametrize("has_address", [True, False])
async def test_a_host_that_is_ourselves_still_stops_a_loop(has_address: bool) -> None:
    hosts = {name: HOSTS[name] for name in HOSTS if has_address or name != "relay.test"}
    outcome = await found(Answers(ANSWERS, hosts), "ours.test", local=False)
    assert isinstance(outcome, Outcome)
    assert outcome.kind is OutcomeKind.REFUSED
    assert "mail loop" in outcome.text


async def test_a_route_may_lead_anywhere() -> None:
    via = ViaSmtp("127.0.0.1", 2526)
    assert isinstance(await found(Answers({}, {}), "any.test", local=False, via=via), Site)


async def test_few_of_many_exchangers_are_looked_up_at_once() -> None:
    names = [f"mx{number}.many.test" for number in range(50)]
    answers = Answers(
        {"many.test": [f"10 {name}" for name in names]}, dict.fromkeys(names, ("192.0.2.1",))
    )
    site = await found(answers, "many.test", local=False)
    assert Counter(host.addresses for host in site.hosts) == {("192.0.2.1",): 50}
    assert answers.most <= 8
