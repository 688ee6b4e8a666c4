"""Contents that fail, and segments that are left, while others are written."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from gatepost.model.ids import WorkerId
from gatepost.store import sqlite_writer
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.verify import verify
from tests.store.makers import NOON, delivery, submission


@pytest.fixture
async def store(tmp_path: Path):
    made = await opened(tmp_path)
    yield made
    await made.close()


async def opened(directory: Path) -> SqliteStore:
    return await open_sqlite(directory, WorkerId("node/1/0"), clock=lambda: NOON)


async def put(store: SqliteStore):
    message = submission()
    way = delivery(message)
    await store.write(lambda t: t.add_deliveries(message, [way]), (message.id, (b"content",)))
    return message


async def count(store: SqliteStore) -> int:
    return len(await store.read(lambda r: r.deliveries(QueueFilter(), limit=999)))


async def read_all(store: SqliteStore, messages) -> list[bytes | None]:
    return [await store.read(lambda r, m=m: r.content(m.id)) for m in messages]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
async def test_contents_that_fail_amid_others_take_nobody_with_them(store, monkeypatch, error):
    messages = [await put(store)]
    pwritev, calls = os.pwritev, iter(range(10**6))

    def every_third_fails(file, buffers, offset):
        if next(calls) % 3 == 2:
            pwritev(file, [b"torn"], offset)
            raise OSError(error, os.strerror(error))
        return pwritev(file, buffers, offset)

    monkeypatch.setattr(os, "pwritev", every_third_fails)
    failed = 0
    for _ in range(15):
        found = await asyncio.gather(*(put(store) for _ in range(4)), return_exceptions=True)
        failed += sum(isinstance(each, StoreUnavailableError) for each in found)
        messages += [each for each in found if not isinstance(each, BaseException)]
        await asyncio.gather(*(store.write(lambda t: t.queue_depth()) for _ in range(4)))
    assert failed
    assert await count(store) == len(messages)
    assert set(await read_all(store, messages)) == {b"content"}
    assert await verify(store) == []


async def test_a_segment_is_not_left_while_its_batch_is_on_its_way(store, tmp_path, monkeypatch):
    """Housekeeping of a neighbour would find it without rows."""
    monkeypatch.setattr(sqlite_writer, "REST", 0.0)
    neighbour = await opened(tmp_path)
    stop = asyncio.Event()

    async def tidy() -> None:
        while not stop.is_set():
            await store.rest()
            await neighbour.tidy(NOON)

    tidying = asyncio.create_task(tidy())
    messages = []
    for _ in range(40):
        messages += await asyncio.gather(*(put(store) for _ in range(5)))
    stop.set()
    await tidying
    assert set(await read_all(store, messages)) == {b"content"}
    assert await verify(store) == []
    await neighbour.close()
