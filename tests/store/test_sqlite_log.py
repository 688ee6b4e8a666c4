"""The write-ahead log is synced by us, outside of the lock; where it cannot be, it is copied."""

import asyncio
import errno
import os
import shutil
import threading
from pathlib import Path

import apsw
import pytest

from gatepost.model.ids import WorkerId
from gatepost.store import segments as segments_module
from gatepost.store import sqlite_log, sqlite_writer
from gatepost.store.crew import MOST
from gatepost.store.protocols import QueueFilter, StoreUnavailableError
from gatepost.store.segments import segments
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_place import CONTENT, DATABASE, LOG
from gatepost.store.sqlite_tidy import SqliteHousekeeper
from gatepost.store.verify import verify
from tests.store.makers import NOON, delivery, submission

PATIENCE = 30


class Disk:
    """Stands before `os.fdatasync` for the log; the thread of the test never waits for it."""

    def __init__(self) -> None:
        self.real = os.fdatasync
        self.failures = 0
        self.syncs = 0
        self.begun = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def fdatasync(self, file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().name != LOG:
            return self.real(file)
        self.begun.release()
        assert self.free.wait(PATIENCE)
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.syncs += 1
        return self.real(file)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(os, "fdatasync", made.fdatasync)
    return made


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


def without_log(directory: Path, beside: Path) -> int:
    """Return how many deliveries the database holds, should the log be lost now."""
    shutil.copy(directory / DATABASE, beside / "alone.db")
    connection = apsw.Connection(str(beside / "alone.db"))
    try:
        return connection.execute("SELECT count(*) FROM delivery").get
    finally:
        connection.close()


async def test_every_batch_is_synced_even_one_that_only_saw(store, disk):
    await put(store)
    assert disk.syncs == 1
    # What it saw may be a neighbour's, who has not synced it yet.
    await store.write(lambda t: t.queue_depth())
    assert disk.syncs == 2


async def test_the_lock_is_free_while_a_batch_is_synced(tmp_path, disk):
    """A neighbour commits meanwhile, and its sync makes durable what it has seen."""
    store, neighbour = await opened(tmp_path), await opened(tmp_path)
    await put(neighbour)
    disk.free.clear()
    first = asyncio.create_task(put(store))
    while not disk.begun.acquire(blocking=False):
        await asyncio.sleep(0.001)
    second = asyncio.create_task(put(neighbour))
    async with asyncio.timeout(PATIENCE):
        while await count(neighbour) < 3:
            await asyncio.sleep(0.001)
    assert not first.done()
    assert not second.done()
    disk.free.set()
    await asyncio.gather(first, second)
    assert await verify(store) == []
    await store.close()
    await neighbour.close()


@pytest.mark.parametrize("in_a_row", [0, 10**9])
async def test_a_log_that_cannot_be_synced_is_copied_and_nobody_hears_of_it(
    store, disk, tmp_path, tmp_path_factory, monkeypatch, in_a_row
):
    monkeypatch.setattr(sqlite_writer, "_IN_A_ROW", in_a_row)
    await put(store)
    disk.failures = 1
    await put(store)
    assert (tmp_path / LOG).stat().st_size == 0
    assert without_log(tmp_path, tmp_path_factory.mktemp("beside")) == 2
    await put(store)
    assert (tmp_path / LOG).stat().st_size > 0
    assert await count(store) == 3
    assert await verify(store) == []


async def test_nothing_is_written_behind_a_torn_log(store, disk, tmp_path):
    await put(store)
    disk.failures = 5
    with pytest.raises(StoreUnavailableError):
        await put(store)
    with pytest.raises(StoreUnavailableError):
        await put(store)
    # The first was committed, and nobody can say whether it lasts; the second never was.
    assert await count(store) == 2
    disk.failures = 0
    await put(store)
    assert await count(store) == 3
    assert await verify(store) == []


async def test_readers_that_keep_the_log_are_waited_for(store, disk, monkeypatch):
    await put(store)
    connect = sqlite_log.connect

    def impatient(path):
        made = connect(path)
        made.set_busy_timeout(10)
        return made

    monkeypatch.setattr(sqlite_log, "connect", impatient)
    gate = threading.Event()
    begun = threading.Event()

    def read(reading):
        reading.queue_depth()
        begun.set()
        gate.wait(PATIENCE)

    reading = asyncio.create_task(store.read(read))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    disk.failures = 1
    with pytest.raises(StoreUnavailableError):
        await put(store)
    gate.set()
    await reading
    await put(store)
    assert await verify(store) == []


async def test_a_log_that_was_made_anew_is_the_one_that_is_synced(tmp_path, disk):
    """With its last connection it goes. Ours went after some trouble; the next is another file."""
    store = await opened(tmp_path)
    await put(store)
    store._writer._forget()
    await store.close()
    log = sqlite_log.Log(tmp_path)
    again = await opened(tmp_path)
    await put(again)
    log.sync()
    old = os.fstat(log._file)
    await again.close()
    assert not (tmp_path / LOG).exists()
    third = await opened(tmp_path)
    await put(third)
    log.sync()
    assert os.path.samestat(os.fstat(log._file), (tmp_path / LOG).stat())
    assert not os.path.samestat(os.fstat(log._file), old)
    log.close()
    await third.close()


async def test_where_no_log_is_left_all_is_in_the_database(tmp_path):
    store = await opened(tmp_path)
    await put(store)
    await store.close()
    log = sqlite_log.Log(tmp_path)
    log.sync()
    assert not log.is_torn


async def test_a_store_that_went_away_is_said(tmp_path):
    store = await opened(tmp_path / "state")
    await put(store)
    await store.close()
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    log = sqlite_log.Log(tmp_path / "state")
    with pytest.raises(StoreUnavailableError):
        log.sync()
    assert log.is_torn
    assert not (tmp_path / "state").exists()


# -- batches that overlap


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is taken for a slow one."""
    monkeypatch.setattr(sqlite_writer, "_IN_A_ROW", 0)


async def read_all(store: SqliteStore, messages) -> list[bytes | None]:
    return [await store.read(lambda r, m=m: r.content(m.id)) for m in messages]


@pytest.mark.usefixtures("slow")
async def test_batches_that_overlap_have_segments_of_their_own(store, disk, tmp_path):
    disk.free.clear()
    waiting = []
    for number in range(MOST):
        waiting.append(asyncio.create_task(put(store)))
        async with asyncio.timeout(PATIENCE):
            while len(segments(tmp_path / CONTENT)) <= number and await count(store) <= number:
                await asyncio.sleep(0.001)
    disk.free.set()
    messages = await asyncio.gather(*waiting)
    for _ in range(20):
        messages += await asyncio.gather(*(put(store) for _ in range(10)))
    assert len(segments(tmp_path / CONTENT)) <= MOST
    assert set(await read_all(store, messages)) == {b"content"}
    assert await verify(store) == []


@pytest.mark.usefixtures("slow")
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


@pytest.mark.usefixtures("slow")
async def test_a_segment_is_not_left_while_its_batch_is_on_its_way(
    store, tmp_path, tmp_path_factory, monkeypatch
):
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


async def test_that_nothing_of_a_segment_is_needed_is_durable_before_it_goes(
    store, disk, tmp_path, monkeypatch
):
    """Its last row may have been dropped by a neighbour who has not synced that yet."""
    monkeypatch.setattr(sqlite_writer, "REST", 0.0)
    message = await put(store)
    await store.rest()
    remove, syncs, found = segments_module.remove, [], SqliteHousekeeper._rows

    async def note_reading(self, sql, *bindings):
        rows = await found(self, sql, *bindings)
        syncs.append(disk.syncs)
        return rows

    def note_removal(directory, segment):
        syncs.append(disk.syncs)
        remove(directory, segment)

    await store.write(
        lambda t: t.execute("DELETE FROM content WHERE submission_id = ?", (message.id,))
    )
    monkeypatch.setattr(SqliteHousekeeper, "_rows", note_reading)
    monkeypatch.setattr(segments_module, "remove", note_removal)
    await store.tidy(NOON)
    assert segments(tmp_path / CONTENT) == []
    assert syncs[-1] > syncs[-2]
