"""Which workers are there: what every Store promises. Ages are measured by the store's own clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.model.ids import WorkerId
from gatepost.store.postgresql import open_postgresql
from gatepost.store.presences import Announcement
from gatepost.store.protocols import Store
from gatepost.store.sqlite import open_sqlite
from tests.memory_store import MemoryStore
from tests.store.makers import NOON, delivery, lease, submission
from tests.store.openers import address_of

FIRST, SECOND, OTHER = (WorkerId(name) for name in ("a/0/7.1/", "a/1/8.2/", "ab/0/7.1/"))
AT_ONCE, NEVER = timedelta(0), timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "sqlite":
        opened: Store = await open_sqlite(tmp_path, FIRST)
    else:
        opened = await open_postgresql(address_of(tmp_path), FIRST)
    yield opened
    await opened.close()


def said(worker: WorkerId = FIRST, ahead: float = 0.0) -> Announcement:
    at = datetime.now(UTC) + timedelta(seconds=ahead)
    return Announcement(worker, worker.partition("/")[0], "home", "1.0", ("127.0.0.1:587",), at)


async def do(store: Any, name: str, *arguments: Any, **more: Any) -> Any:
    return await store.write(lambda transaction: getattr(transaction, name)(*arguments, **more))


async def names(store: Any) -> dict[str, bool]:
    return {p.worker: p.lost for p in await store.read(lambda reading: reading.presences())}


async def test_who_beats_is_there_since_its_first_beat(store: Any):
    first = await do(store, "beat", said(ahead=100))
    second = await do(store, "beat", said(ahead=-100))
    assert (first.before, first.was_lost) == (None, False)
    assert (second.before, second.was_lost) == (first.now, False)
    (one,) = await store.read(lambda reading: reading.presences())
    assert (one.worker, one.node, one.home, one.version) == (FIRST, "a", "home", "1.0")
    assert one.addresses == ("127.0.0.1:587",)
    assert (one.since, one.heard_at, one.lost) == (first.now, second.now, False)
    assert abs(one.ahead - timedelta(seconds=-100)) < timedelta(seconds=30)
    assert second.now <= await store.read(lambda reading: reading.time())


async def test_who_is_silent_is_buried_once_and_may_rise_again(store: Any):
    heard = await do(store, "beat", said())
    await do(store, "beat", said(SECOND))
    assert await do(store, "bury", NEVER) == []
    assert [one.worker for one in await do(store, "bury", AT_ONCE)] == [FIRST, SECOND]
    assert await do(store, "bury", AT_ONCE) == []
    assert await names(store) == {FIRST: True, SECOND: True}
    risen = await do(store, "beat", said())
    assert (risen.before, risen.was_lost) == (heard.now, True)
    assert await names(store) == {FIRST: False, SECOND: True}


async def test_leaving_is_by_the_beginning_of_a_name(store: Any):
    for worker in (FIRST, SECOND, OTHER):
        await do(store, "beat", said(worker))
    await do(store, "leave", "a/")
    assert await names(store) == {OTHER: False}
    assert (await do(store, "beat", said())).before is None


async def test_the_lost_alone_are_forgotten(store: Any):
    await do(store, "beat", said())
    await do(store, "bury", AT_ONCE)
    last = await do(store, "beat", said(SECOND))
    assert await do(store, "forget_presences", before=last.now + NEVER) == 1
    assert await names(store) == {SECOND: False}


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
async def test_what_each_holds_is_counted(store: Any):
    for worker in (FIRST, FIRST, OTHER):
        message = submission()
        ways = [delivery(message)]
        await do(store, "add_deliveries", message, ways, lease(worker))
    message = submission()
    await do(store, "add_deliveries", message, [delivery(message, next_attempt_at=NOON)])
    held = await store.read(lambda reading: reading.leases_held())
    assert held == {FIRST: 2, OTHER: 1}
    assert await do(store, "free_leases", FIRST) == 2
    assert await store.read(lambda reading: reading.leases_held()) == {OTHER: 1}
