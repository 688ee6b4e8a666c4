"""Tallies and leases of quotas: what every Store promises."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.quota import Limit, Subject, Tally, Unit, Window
from gatepost.model.secret import Secret
from gatepost.store.protocols import NotLeasedError, Store
from gatepost.store.quota_protocols import QuotaLease, Spending
from tests.memory_store import MemoryStore
from tests.store.makers import NOON
from tests.store.openers import postgresql, sqlite

A, B = Subject("account/a@x.example"), Subject("account/b@x.example")
FIRST, SECOND = WorkerId("node/0/1.1/"), WorkerId("node/1/2.1/")
AT = NOON.timestamp()
SENT = {Unit.MESSAGES: 2, Unit.RECIPIENTS: 5}
LIMITS = (Limit(Unit.MESSAGES, Window.HOUR, 10), Limit(Unit.RECIPIENTS, Window.MONTH, None))


@pytest.fixture(params=[sqlite, postgresql, None], ids=["sqlite", "postgresql", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param is None:
        yield MemoryStore()
        return
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


def lease(subject=A, worker=FIRST, messages=10, recipients=20, recalled=False) -> QuotaLease:
    return QuotaLease(subject, worker, messages, recipients, NOON + timedelta(seconds=30), recalled)


async def leases(store: Store, subject: Subject = A) -> list[QuotaLease]:
    return await store.read(lambda reading: reading.quota_leases(subject))


async def test_a_tally_comes_back_as_it_was(store: Store):
    assert await store.read(lambda reading: reading.tally(A)) == Tally(A)
    tally = Tally(A, warned=(80, 0, 0, 95, 0, 0, 0, 0)).plus(AT, SENT)
    await store.write(lambda tx: tx.put_tally(tally, NOON))
    assert await store.read(lambda reading: reading.tally(A)) == tally
    assert await store.read(lambda reading: reading.tally(B)) == Tally(B)


async def test_what_a_batch_spends_is_counted_and_leaves_the_leases(store: Store):
    spendings = [
        Spending(A, FIRST, NOON, 1, 3),
        Spending(A, FIRST, NOON + timedelta(seconds=70), 1, 2),
        Spending(A, SECOND, NOON, 1, 1),
        Spending(B, FIRST, NOON, 1, 1),
    ]

    def job(tx):
        tx.put_quota_lease(lease())
        tx.put_quota_lease(lease(worker=SECOND, messages=0, recipients=1))
        for spending in spendings:
            tx.spend([spending])
        return tx.tally(A)

    tally = await store.write(job)
    assert tally.used(Unit.MESSAGES, Window.HOUR, AT + 70) == 3
    assert tally.used(Unit.RECIPIENTS, Window.MONTH, AT + 70) == 6
    assert tally.used(Unit.MESSAGES, Window.MINUTE, AT + 100) == 1
    assert await leases(store) == [
        lease(messages=8, recipients=15),
        lease(worker=SECOND, messages=0, recipients=0),
    ]
    tally = await store.read(lambda reading: reading.tally(B))
    assert tally.used(Unit.MESSAGES, Window.DAY, AT) == 1


async def test_what_was_drawn_and_is_held_no_more_is_not_spent(store: Store):
    """Its neighbours of a batch are stored, and it is not: another worker may have drawn it."""

    def spends(*, messages: int, recipients: int = 0, worker: WorkerId = FIRST):
        drawn = Spending(A, worker, NOON, messages, recipients, messages, recipients)
        return store.write(lambda tx: tx.spend([drawn]))

    await store.write(lambda tx: tx.put_quota_lease(lease(messages=2, recipients=3)))
    results = await asyncio.gather(
        spends(messages=1, recipients=3),
        spends(messages=1, worker=SECOND),
        spends(messages=0, recipients=0, worker=SECOND),
        spends(messages=1),
        spends(messages=1),
        spends(messages=0, recipients=1),
        return_exceptions=True,
    )
    assert [type(each) for each in results] == [
        type(None),
        NotLeasedError,
        type(None),
        type(None),
        NotLeasedError,
        NotLeasedError,
    ]
    tally = await store.read(lambda reading: reading.tally(A))
    assert tally.used(Unit.MESSAGES, Window.HOUR, AT) == 2
    assert await leases(store) == [lease(messages=0, recipients=0)]


async def test_spending_keeps_what_was_warned_of(store: Store):
    tally = Tally(A, warned=(80,) * 8)
    await store.write(lambda tx: tx.put_tally(tally, NOON))
    await store.write(lambda tx: tx.spend([Spending(A, FIRST, NOON, 1, 1)]))
    assert (await store.read(lambda reading: reading.tally(A))).warned == (80,) * 8


async def test_a_lease_is_replaced_recalled_and_removed_with_nothing_in_it(store: Store):
    await store.write(lambda tx: tx.put_quota_lease(lease()))
    await store.write(lambda tx: tx.put_quota_lease(lease(worker=SECOND)))
    await store.write(lambda tx: tx.put_quota_lease(lease(subject=B)))
    await store.write(lambda tx: tx.recall(A, SECOND))
    assert await store.read(lambda reading: reading.recalled(FIRST)) == [A]
    assert await store.read(lambda reading: reading.recalled(SECOND)) == []
    await store.write(lambda tx: tx.put_quota_lease(lease(messages=1)))
    assert await store.read(lambda reading: reading.recalled(FIRST)) == []
    await store.write(lambda tx: tx.put_quota_lease(lease(messages=-1, recipients=0)))
    assert await leases(store) == [lease(worker=SECOND)]
    assert await leases(store, B) == [lease(subject=B)]


async def test_a_dead_worker_s_leases_are_freed(store: Store):
    for worker in (FIRST, SECOND):
        await store.write(lambda tx, worker=worker: tx.put_quota_lease(lease(worker=worker)))
    await store.write(lambda tx: tx.free_quota_leases(FIRST))
    assert await leases(store) == [lease(worker=SECOND)]


async def test_what_is_long_past_is_forgotten(store: Store):
    await store.write(lambda tx: tx.put_tally(Tally(A), NOON))
    await store.write(lambda tx: tx.put_tally(Tally(B).plus(AT, SENT), NOON + timedelta(days=1)))
    await store.write(lambda tx: tx.put_quota_lease(lease()))
    before = NOON + timedelta(hours=1)
    assert await store.write(lambda tx: tx.forget_quotas(before=before)) == 1
    assert await leases(store) == []
    tally = await store.read(lambda reading: reading.tally(B))
    assert tally.used(Unit.RECIPIENTS, Window.MONTH, AT) == 5


@pytest.mark.parametrize("store", [sqlite, postgresql], indirect=True)
async def test_limits_are_kept_with_accounts_and_credentials(store: Store):
    name = AccountName("a@x.example")
    account = Account(name, (name,), NOON, limits=LIMITS)
    secret = Credential(
        CredentialId("c"), name, CredentialKind.APP_PASSWORD, Secret("x"), NOON, limits=LIMITS
    )
    await store.write(lambda tx: tx.put_account(account))
    await store.write(lambda tx: tx.put_credential(secret))
    assert await store.read(lambda reading: reading.account(name)) == account
    assert await store.read(lambda reading: reading.credentials(name)) == [secret]


@pytest.mark.parametrize("store", [sqlite, postgresql], indirect=True)
async def test_housekeeping_forgets_what_no_window_counts_any_more(store: Store):
    await store.write(lambda tx: tx.put_tally(Tally(A).plus(AT, SENT), NOON))
    for days, used in ((30, 2), (32, 0)):
        await store.tidy(NOON + timedelta(days=days))
        tally = await store.read(lambda reading: reading.tally(A))
        assert tally.used(Unit.MESSAGES, Window.DAY, AT) == used
