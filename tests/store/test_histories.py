"""Histories of credentials and their holds: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.identity.breaker import News, held, learn
from gatepost.model.history import History
from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.protocols import Store
from tests.memory_store import MemoryStore
from tests.store.makers import NOON
from tests.store.openers import postgresql, sqlite

NAME = AccountName("a@x.example")
BARE = History(CredentialId("a" * 32), NAME, NOON)
NEWS = News(
    recipients=7, ended=5, refused={"b.example": 2}, networks={"192.0.2.0/24", "2001:db8::/48"}
)
FULL = held(learn(BARE, NEWS, NOON), "too much at once", NOON + timedelta(seconds=1))
OTHER = replace(FULL, credential=CredentialId("oauth/b@x.example"), account=AccountName("b"))


@pytest.fixture(params=[sqlite, postgresql, None], ids=["sqlite", "postgresql", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param is None:
        yield MemoryStore()
        return
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def test_a_history_comes_back_as_it_was(store: Store):
    assert await store.read(lambda reading: reading.history(BARE.credential)) is None
    for history in (BARE, FULL):
        await store.write(lambda tx, history=history: tx.put_history(history, NOON))
        assert await store.read(lambda reading: reading.history(BARE.credential)) == history


async def test_held_ones_are_found_by_their_account(store: Store):
    second = replace(FULL, credential=CredentialId("b" * 32))
    free = replace(BARE, credential=CredentialId("c" * 32))
    for history in (second, free, OTHER, FULL):
        await store.write(lambda tx, history=history: tx.put_history(history, NOON))
    assert await store.read(lambda reading: reading.held_histories(NAME)) == [FULL, second]
    await store.write(lambda tx: tx.put_history(replace(FULL, hold=None), NOON))
    assert await store.read(lambda reading: reading.held_histories(NAME)) == [second]


async def test_what_is_long_past_is_forgotten_unless_it_is_held(store: Store):
    free = replace(BARE, credential=CredentialId("c" * 32))
    for history in (free, FULL):
        await store.write(lambda tx, history=history: tx.put_history(history, NOON))
    assert await store.write(lambda tx: tx.forget_histories(before=NOON)) == 0
    later = NOON + timedelta(days=1)
    assert await store.write(lambda tx: tx.forget_histories(before=later)) == 1
    assert await store.read(lambda reading: reading.history(FULL.credential)) == FULL


@pytest.mark.parametrize("store", [sqlite, postgresql], indirect=True)
async def test_who_slept_for_a_year_is_known_still(store: Store):
    await store.write(lambda tx: tx.put_history(BARE, NOON))
    for days, known in ((365, True), (401, False)):
        await store.tidy(NOON + timedelta(days=days))
        found = await store.read(lambda reading: reading.history(BARE.credential))
        assert (found is not None) is known
