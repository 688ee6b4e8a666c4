"""What waits for a time that its sender chose: what every Store promises."""

from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.ids import AccountName
from gatepost.store.later import LEAST_COUNTED
from gatepost.store.protocols import Store
from tests.memory_store import MemoryStore
from tests.store.makers import NOON, delivery, lease, settled, submission
from tests.store.openers import OPENERS

NAME = AccountName("a@x.example")
HOUR = timedelta(hours=1)


@pytest.fixture(params=[*OPENERS, None], ids=lambda opener: getattr(opener, "__name__", "memory"))
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param is None:
        yield MemoryStore()
        return
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def waiting(store: Store, *, at=NOON) -> int:
    return await store.read(lambda reading: reading.stored_for_later(NAME, at))


async def put(store: Store, held_by=None, **changes):
    one = submission(**{"account": NAME, "release_at": NOON + HOUR, **changes})
    row = delivery(one, next_attempt_at=one.release_at or NOON)
    return await store.write(lambda tx: tx.add_deliveries(one, [row], held_by), (one.id, [b"x"]))


async def test_what_waits_is_counted_by_account_until_its_time_or_its_end(store: Store):
    assert await waiting(store) == 0
    await put(store, size=5)
    await put(store, size=LEAST_COUNTED + 1)
    await put(store, account=AccountName("other@x.example"))
    await put(store, release_at=None)
    assert await waiting(store) == 2 * LEAST_COUNTED + 1
    assert await waiting(store, at=NOON + HOUR) == 0
    (leased,) = await put(store, lease(), size=LEAST_COUNTED + 7)
    assert await waiting(store) == 3 * LEAST_COUNTED + 8
    await store.write(lambda tx: tx.settle([settled(leased)]))
    assert await waiting(store) == 2 * LEAST_COUNTED + 1
