"""Accounts' claims to domains: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.domain import Domain
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.ids import AccountName
from gatepost.store.protocols import Store
from tests.store.makers import NOON
from tests.store.openers import OPENERS

CLAIM = DomainClaim("example.com", AccountName("b"), "token", NOON)


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def claims(store: Store, domain: str | None = None) -> list[DomainClaim]:
    return await store.read(lambda reading: reading.domain_claims(domain))


async def test_claims_are_kept_by_domain_and_account(store: Store):
    first, other = replace(CLAIM, account=AccountName("a")), replace(CLAIM, domain="b.example")
    for each in (CLAIM, other, first):
        await store.write(lambda tx, each=each: tx.put_domain_claim(each))
    assert await claims(store) == [other, first, CLAIM]
    assert await claims(store, "example.com") == [first, CLAIM]
    proven = replace(
        CLAIM, proven_at=NOON + timedelta(days=1), missing_since=NOON + timedelta(days=2)
    )
    await store.write(lambda tx: tx.put_domain_claim(proven))
    assert await claims(store, "example.com") == [first, proven]


async def test_they_go_with_the_domain_and_with_the_account(store: Store):
    await store.write(lambda tx: tx.put_domain(Domain("example.com", NOON, unproven=True)))
    assert (await store.read(lambda reading: reading.domain("example.com"))).unproven
    await store.write(lambda tx: tx.put_domain_claim(CLAIM))
    await store.write(lambda tx: tx.put_domain_claim(replace(CLAIM, domain="b.example")))
    await store.write(lambda tx: tx.remove_domain("example.com"))
    assert [each.domain for each in await claims(store)] == ["b.example"]
    await store.write(lambda tx: tx.remove_account(AccountName("b")))
    assert await claims(store) == []
