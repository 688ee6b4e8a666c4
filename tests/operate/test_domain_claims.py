"""Domains that accounts bring: nothing is sent or signed before the proof."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.identity.master_key import MasterKey
from gatepost.model.account import Account
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.event import EventKind
from gatepost.model.grant import owns
from gatepost.model.ids import AccountName, WorkerId
from gatepost.net.address import SocketAddress
from gatepost.net.resolver import DnsTemporaryError, Resolver
from gatepost.operate import domain_claims, domains
from gatepost.operate.accounts import By, NoSuchAccountError
from gatepost.operate.domain_claims import NoSuchClaimError, claim, claims, look_again, verify
from gatepost.operate.domain_looks import Watch
from gatepost.reception.signing import Signer
from gatepost.store.sqlite import open_sqlite
from tests.dns_server import DnsServer

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
BY = By(AT, "root")
KEY = MasterKey(bytes(32))
SHOP, OTHER = AccountName("shop"), AccountName("other")


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    for name in (SHOP, OTHER):
        account = Account(name, (f"{name}@relay.example",), AT)
        await opened.write(lambda tx, account=account: tx.put_account(account))
    yield opened
    await opened.close()


async def prove(store, dns: DnsServer, account: str | None = None):
    claimed = await claims(store, "example.com", account)
    resolver = Resolver([dns.address], hosts_file=Path("/nonexistent"))
    return await verify(store, claimed, resolver, by=BY)


async def may(store, name: AccountName) -> bool:
    account = await store.read(lambda reading: reading.account(name))
    return owns(account.senders, "any@example.com")


async def signs(store) -> bool:
    signer = Signer(store, KEY, timedelta(days=5))
    await signer.refresh()
    return bool(signer.keys_for(["any@example.com"]))


async def test_nothing_is_sent_or_signed_before_the_proof(store):
    asked = await claim(store, "Example.com", "Shop", KEY, by=BY)
    (only,) = asked.claims
    assert asked.domain.unproven
    assert only.record_name == "_gatepost.example.com"
    assert not await signs(store)
    assert not await may(store, SHOP)
    async with DnsServer() as dns:
        dns.add("_gatepost.example.com", "TXT", '"gatepost-account=0123"', '"something"')
        assert (await prove(store, dns)).unproven == (only,)
        assert not await signs(store)
        dns.add("_gatepost.example.com", "TXT", '"something"', f'"{only.record_text}"')
        assert (await prove(store, dns)).unproven == ()
        assert await signs(store)
        assert await may(store, SHOP)
        before = await store.read(lambda reading: reading.events())
        assert (await prove(store, dns)).unproven == ()  # again changes nothing
        assert await store.read(lambda reading: reading.events()) == before
    kinds = [each.event.kind for each in before]
    assert kinds == [
        EventKind.DOMAIN_ADDED, EventKind.ACCOUNT_CHANGED, EventKind.DOMAIN_CHANGED,
    ]  # fmt: skip


async def test_a_domain_is_shared_by_those_that_prove_it_each_by_its_token(store):
    first = (await claim(store, "example.com", SHOP, KEY, by=BY)).claims[0]
    again = (await claim(store, "example.com", SHOP, KEY, by=BY)).claims[0]
    second = (await claim(store, "example.com", OTHER, KEY, by=BY)).claims[0]
    assert first == again
    assert first.token != second.token
    async with DnsServer() as dns:
        dns.add("_gatepost.example.com", "TXT", f'"{first.record_text}"')
        assert [each.account for each in (await prove(store, dns)).unproven] == [OTHER]
        assert (await may(store, SHOP), await may(store, OTHER)) == (True, False)
        dns.add("_gatepost.example.com", "TXT", f'"{second.record_text}"')
        assert (await prove(store, dns, OTHER)).unproven == ()
    assert (await may(store, SHOP), await may(store, OTHER)) == (True, True)
    assert len((await domains.show(store, "example.com")).keys) == 2


async def test_the_operators_domain_is_proven_and_yet_no_accounts_before_its_proof(store):
    await domains.add(store, "example.com", KEY, by=BY)
    asked = await claim(store, "example.com", SHOP, KEY, by=BY)
    assert not asked.domain.unproven
    assert await signs(store)
    assert not await may(store, SHOP)


async def test_the_operators_word_is_proof_enough_for_the_domain(store):
    asked = await claim(store, "example.com", SHOP, KEY, by=BY)
    domain = await domains.add(store, "example.com", KEY, by=BY)
    assert (domain.unproven, set(domain.keys)) == (False, set(asked.domain.keys))
    assert await signs(store)
    with pytest.raises(domains.DomainExistsError):
        await domains.add(store, "example.com", KEY, by=BY)


async def test_an_unproven_domain_stands_in_nobodys_way(store):
    await domains.add(store, "example.com", KEY, by=BY)
    await claim(store, "news.example.com", SHOP, KEY, by=BY)
    signer = Signer(store, KEY, timedelta(days=5))
    await signer.refresh()
    assert {k.domain for k in signer.keys_for(["a@news.example.com"])} == {"example.com"}

    async def check(domain):
        asked.append(domain.name)
        return ()

    asked: list[str] = []
    await Watch(store, check, timedelta(hours=1), lambda: AT).look()
    assert asked == ["example.com"]


async def test_what_a_proof_gave_goes_with_the_domain(store):
    only = (await claim(store, "example.com", SHOP, KEY, by=BY)).claims[0]
    async with DnsServer() as dns:
        dns.add("_gatepost.example.com", "TXT", f'"{only.record_text}"')
        await prove(store, dns)
    await domains.remove(store, "example.com", by=BY)
    assert not await may(store, SHOP)
    assert await store.read(lambda reading: reading.domain_claims()) == []
    fresh = (await claim(store, "example.com", SHOP, KEY, by=BY)).claims[0]
    assert fresh.token != only.token


async def test_an_account_takes_its_claims_along(store):
    await claim(store, "example.com", SHOP, KEY, by=BY)
    await store.write(lambda tx: tx.remove_account(SHOP))
    assert await store.read(lambda reading: reading.domain_claims()) == []


async def test_a_claim_that_was_made_anew_meanwhile_is_another_one(store, monkeypatch):
    await claim(store, "example.com", SHOP, KEY, by=BY)
    claimed = await claims(store, "example.com")

    async def texts(*_: object) -> tuple[str, ...]:
        newer = DomainClaim("example.com", SHOP, "another", AT)
        await store.write(lambda tx: tx.put_domain_claim(newer))
        return (claimed.claims[0].record_text,)

    monkeypatch.setattr(domain_claims, "texts_of", texts)
    resolver = Resolver([SocketAddress("127.0.0.1", 1)], hosts_file=Path("/nonexistent"))
    await verify(store, claimed, resolver, by=BY)
    assert not await may(store, SHOP)
    assert not await signs(store)


async def test_a_dns_that_does_not_answer_proves_nothing(store):
    await claim(store, "example.com", SHOP, KEY, by=BY)
    async with DnsServer() as dns:
        dns.behaviour.rcode = "SERVFAIL"
        with pytest.raises(DnsTemporaryError):
            await prove(store, dns)
    assert not await may(store, SHOP)


async def test_who_has_not_asked_is_told_how(store):
    with pytest.raises(NoSuchAccountError):
        await claim(store, "example.com", "nobody", KEY, by=BY)
    assert await domains.listing(store) == []
    await domains.add(store, "example.com", KEY, by=BY)
    with pytest.raises(NoSuchClaimError, match="--account shop"):
        await claims(store, "example.com", SHOP)


async def test_a_proof_that_stays_away_is_none_any_more(store):
    only = (await claim(store, "example.com", SHOP, KEY, by=BY)).claims[0]
    async with DnsServer(negative_ttl=0) as dns:
        name = "_gatepost.example.com"
        dns.add(name, "TXT", f'"{only.record_text}"')
        await prove(store, dns)
        resolver = Resolver([dns.address], hosts_file=Path("/nonexistent"))

        async def looked(days: float) -> bool:
            resolver.forget()
            await look_again(store, "example.com", resolver, AT + timedelta(days=days))
            return await may(store, SHOP)

        assert await looked(1)
        dns.remove(name)
        assert await looked(2)
        assert await looked(8.9)
        dns.add(name, "TXT", f'"{only.record_text}"')
        assert await looked(9)  # there again: the time begins anew
        dns.remove(name)
        assert await looked(10)
        dns.for_name(name).rcode = "SERVFAIL"
        assert await looked(20)  # nobody could tell
        dns.for_name(name).rcode = None
        assert not await looked(21)
        kinds = [each.event.kind for each in await store.read(lambda r: r.events())]
        assert kinds.count(EventKind.DOMAIN_PROOF_MISSING) == 2
        assert kinds.count(EventKind.DOMAIN_PROOF_LAPSED) == 1
        (lapsed,) = await store.read(lambda r: r.domain_claims("example.com"))
        assert (lapsed.proven_at, lapsed.missing_since) == (None, None)
        dns.add(name, "TXT", f'"{only.record_text}"')
        await prove(store, dns)
        assert await may(store, SHOP)
