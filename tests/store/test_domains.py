"""Sending domains and their keys: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.domain import DkimKey, DkimKeyState, Domain
from gatepost.model.secret import Secret
from gatepost.store.protocols import Store
from gatepost.wire.records.dkim_key import KeyType
from tests.store.makers import NOON
from tests.store.openers import OPENERS

OLD = DkimKey("old", KeyType.RSA, Secret("sealed"), b"\0der", NOON)
NEW = DkimKey(
    "new", KeyType.ED25519, Secret("x"), b"\xff" * 32, NOON + timedelta(1), DkimKeyState.PENDING
)
DOMAIN = Domain("example.com", NOON, (OLD, NEW))


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def test_a_domain_is_kept_with_its_keys_oldest_first(store: Store):
    await store.write(lambda tx: tx.put_domain(replace(DOMAIN, keys=(NEW, OLD))))
    await store.write(lambda tx: tx.put_domain(Domain("a.example", NOON)))
    assert await store.read(lambda reading: reading.domain("example.com")) == DOMAIN
    both = await store.read(lambda reading: reading.domains())
    assert both == [Domain("a.example", NOON), DOMAIN]
    assert await store.read(lambda reading: reading.domain("other.example")) is None


async def test_putting_a_domain_again_replaces_its_keys(store: Store):
    await store.write(lambda tx: tx.put_domain(DOMAIN))
    changed = replace(DOMAIN, keys=(replace(NEW, state=DkimKeyState.ACTIVE),), unpublished="hold")
    await store.write(lambda tx: tx.put_domain(changed))
    assert await store.read(lambda reading: reading.domains()) == [changed]


async def test_a_removed_domain_takes_its_keys_along(store: Store):
    await store.write(lambda tx: tx.put_domain(DOMAIN))
    assert await store.write(lambda tx: tx.remove_domain("example.com"))
    assert not await store.write(lambda tx: tx.remove_domain("example.com"))
    await store.write(lambda tx: tx.put_domain(Domain("example.com", NOON)))
    assert await store.read(lambda reading: reading.domains()) == [Domain("example.com", NOON)]


async def test_a_job_sees_its_own_changes(store: Store):
    def job(tx):
        tx.put_domain(DOMAIN)
        return tx.domain("example.com")

    assert await store.write(job) == DOMAIN
