"""Keys of the HTTP API: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.api_key import ApiKey, Scope
from gatepost.model.ids import AccountName
from gatepost.model.quota import Limit, Unit, Window
from gatepost.model.secret import Secret
from gatepost.store.protocols import Store
from tests.memory_store import MemoryStore
from tests.store.makers import NOON
from tests.store.openers import postgresql, sqlite

NAME = AccountName("a@x.example")
BARE = ApiKey("k2", Secret("$blake2b$x"), (Scope.READ,), NOON)
FULL = ApiKey(
    "k1",
    Secret("$blake2b$y"),
    (Scope.SEND, Scope.READ),
    NOON,
    NAME,
    "shop",
    NOON + timedelta(days=1),
    NOON + timedelta(minutes=1),
    (Limit(Unit.MESSAGES, Window.HOUR, 5), Limit(Unit.RECIPIENTS, Window.DAY, None)),
)


@pytest.fixture(params=[sqlite, postgresql, None], ids=["sqlite", "postgresql", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param is None:
        yield MemoryStore()
        return
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def test_a_key_comes_back_as_it_was(store: Store):
    for key in (BARE, FULL, replace(FULL, limits=(), label="other")):
        await store.write(lambda tx, key=key: tx.put_api_key(key))
        assert await store.read(lambda reading, key=key: reading.api_key(key.id)) == key
    assert [key.id for key in await store.read(lambda reading: reading.api_keys())] == ["k1", "k2"]


async def test_a_use_is_noted_and_a_key_removed(store: Store):
    await store.write(lambda tx: [tx.put_api_key(key) for key in (BARE, FULL)] and None)
    await store.write(lambda tx: tx.note_api_key_use("k2", NOON))
    assert await store.read(lambda r: r.api_key("k2")) == replace(BARE, last_used_at=NOON)
    assert await store.write(lambda tx: tx.remove_api_key("k2"))
    assert not await store.write(lambda tx: tx.remove_api_key("k2"))
    await store.write(lambda tx: tx.forget_api_keys_of(NAME))
    assert await store.read(lambda reading: reading.api_keys()) == []
