"""What only the SQLite store does: versions, files, compaction, trouble."""

import asyncio
import os
import stat
import threading
import time
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from gatepost.delivery.contents import contents_of
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import WorkerId
from gatepost.model.settings import RetentionSettings
from gatepost.returns.outcome import refused
from gatepost.store import sqlite_checkpoint, sqlite_connection, sqlite_writer, tidy
from gatepost.store.protocols import (
    ContentDamagedError,
    DiskFullError,
    NewerDatabaseError,
    StoreUnavailableError,
)
from gatepost.store.queue_view import QueueFilter
from gatepost.store.rows import STATES, microseconds, moment
from gatepost.store.segments import segments
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_place import CONTENT, DATABASE
from gatepost.store.sqlite_schema import VERSIONS
from gatepost.store.verify import verify
from tests.store.makers import NOON, delivery, event, lease, settled, submission

WORKER = WorkerId("node/1/0")


async def opened(directory: Path, **more) -> SqliteStore:
    return await open_sqlite(directory, WORKER, clock=lambda: NOON, **more)


@pytest.fixture
async def store(tmp_path: Path):
    made = await opened(tmp_path)
    yield made
    await made.close()


async def put(store, content=b"content", of=None, **more):
    message = of or submission()
    way = delivery(message)
    job = lambda t: t.add_deliveries(message, [way], more.get("lease"))  # noqa: E731
    leased = await store.write(job, (message.id, (content,)))
    return message, leased


async def settle(store, leased, state=DeliveryState.DELIVERED):
    settlements = [settled(one, state) for one in leased]
    return await store.write(lambda t: t.settle(settlements))


async def content(store, message):
    return await store.read(lambda r: r.content(message.id))


def database(directory: Path) -> apsw.Connection:
    return apsw.Connection(str(directory / DATABASE))


def files(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name.startswith(DATABASE)}


# -- versions


async def test_a_new_database_has_the_present_version_and_is_private(store, tmp_path):
    connection = database(tmp_path)
    assert connection.execute("PRAGMA user_version").get == len(VERSIONS)
    assert connection.execute("PRAGMA journal_mode").get == "wal"
    await put(store)
    for path in (*tmp_path.glob("*"), *tmp_path.glob("content/*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


async def test_a_newer_database_is_refused_and_not_touched(tmp_path):
    store = await opened(tmp_path)
    await put(store)
    await store.close()
    connection = database(tmp_path)
    connection.execute(f"PRAGMA user_version = {len(VERSIONS) + 1}")
    connection.execute(
        "UPDATE schema_mark SET value = ? WHERE name = 'oldest'", [len(VERSIONS) + 1]
    )
    connection.close()
    before = files(tmp_path)
    with pytest.raises(NewerDatabaseError):
        await opened(tmp_path)
    after = files(tmp_path)
    assert after[DATABASE] == before[DATABASE]
    assert not after.get(f"{DATABASE}-wal")


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "2.9.9"])
def test_an_old_sqlite_is_refused(version):
    with pytest.raises(StoreUnavailableError, match="too old"):
        sqlite_connection.refuse_old_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.54.1", "4.0"])
def test_a_safe_sqlite_is_taken(version):
    sqlite_connection.refuse_old_sqlite(version)


async def test_two_that_open_a_new_store_at_once_both_can(tmp_path):
    stores = await asyncio.gather(*(opened(tmp_path) for _ in range(4)))
    for store in stores:
        await put(store)
        await store.close()


async def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"hello" * 1000)
    with pytest.raises(StoreUnavailableError):
        await opened(tmp_path)


async def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError):
        await opened(tmp_path / "file" / "state")


def test_state_numbers_are_for_ever():
    assert [state.value for state in STATES] == [
        "due", "leased", "held", "delivered", "captured", "refused", "expired", "cancelled",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 999_999, 1_763_900_000_123_457, 4_102_444_800_000_001])
def test_times_are_exact(number):
    assert microseconds(moment(number)) == number


# -- disk and database trouble


async def test_below_the_reserve_mail_is_refused_and_settling_goes_on(store, monkeypatch):
    message, leased = await put(store, lease=lease())
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_writer, "free_space", lambda _: 0)
        with pytest.raises(DiskFullError):
            await put(store)
        assert len(await settle(store, leased)) == 1
    assert await content(store, message) is None
    await put(store)


async def test_free_space_leaves_a_reserve(store, tmp_path, monkeypatch):
    found = os.statvfs(tmp_path)
    assert await store.free_space() <= found.f_bavail * found.f_frsize

    class Tiny:
        f_frsize, f_blocks, f_bavail, f_files, f_favail = 4096, 16_000, 1000, 100, 50

    monkeypatch.setattr(os, "statvfs", lambda _: Tiny)
    assert sqlite_writer.free_space(tmp_path) == 0
    Tiny.f_bavail = 2000
    assert sqlite_writer.free_space(tmp_path) == 1000 * 4096
    Tiny.f_favail = 0
    assert sqlite_writer.free_space(tmp_path) == 0


async def test_a_database_that_is_full_is_said_and_recovered_from(store, monkeypatch):
    await put(store)
    commit = sqlite_writer.SqliteWriter._commit

    def full(self, connection, runs, places):
        pages = connection.execute("PRAGMA page_count").get
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return commit(self, connection, runs, places)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_writer.SqliteWriter, "_commit", full)
        many = [event(text="x" * 500) for _ in range(500)]
        with pytest.raises(DiskFullError):
            await store.write(lambda t: t.add_events(many))
    await put(store)
    assert await store.read(lambda r: r.events()) == []
    assert await verify(store) == []


async def test_a_statement_at_fault_is_the_jobs_own(store):
    with pytest.raises(apsw.SQLError):
        await store.write(lambda t: t.execute("SELECT nothing FROM nowhere"))
    await put(store)
    with pytest.raises(apsw.SQLError):
        await store.inspect(lambda r: r.rows("SELECT nothing FROM nowhere"))


async def test_a_closed_store_says_so(tmp_path):
    store = await opened(tmp_path)
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailableError):
        await store.read(lambda r: r.accounts())
    with pytest.raises(StoreUnavailableError):
        await store.write(lambda t: t.accounts())


async def test_a_reader_cannot_write(store):
    with pytest.raises(StoreUnavailableError):
        await store.inspect(lambda r: r.rows("DELETE FROM submission"))
    assert await store.read(lambda r: r.accounts()) == []


async def test_who_asks_a_frozen_disk_need_not_find_that_out_anew(store):
    """Readers hang as the writer does: they, too, leave marks in memory that is a file's."""
    thawed = threading.Event()
    hung = [asyncio.create_task(store.read(lambda _: thawed.wait(60))) for _ in range(2)]
    await asyncio.sleep(0)
    store._commits.is_stuck = True
    begun = time.monotonic()
    try:
        with pytest.raises(StoreUnavailableError, match="no answer within 1 s"):
            await store.read(lambda reading: reading.account("a"))
        assert time.monotonic() - begun < 10
    finally:
        thawed.set()
    await asyncio.gather(*hung)
    # A lock that somebody sits on holds no readers.
    assert await store.read(lambda reading: reading.account("a")) is None


# -- content and its segments


async def test_a_missing_segment_is_damage(store, tmp_path):
    message, _ = await put(store)
    whole, _ = await put(store)
    lost = "UPDATE content SET segment = 'lost' WHERE submission_id = ?"
    await store.write(lambda t: t.execute(lost, (message.id,)))
    with pytest.raises(ContentDamagedError):
        await content(store, message)
    with pytest.raises(ContentDamagedError):
        await store.write(lambda t: t.content(message.id))
    # It is damage of that one message; and others that are asked for beside it have theirs.
    wanted = [whole.id, message.id, "unknown"]
    assert await store.read(contents_of(wanted)) == {
        whole.id: (b"content",),
        message.id: refused("5.3.0", "the stored content is damaged: segment lost is missing"),
        "unknown": refused("5.3.0", "the stored content is gone"),
    }


async def test_content_is_kept_as_long_as_settings_say(tmp_path):
    store = await opened(tmp_path, retention=RetentionSettings(content=timedelta(hours=1)))
    message, leased = await put(store, lease=lease())
    await settle(store, leased)
    assert await content(store, message) == b"content"
    await store.tidy(NOON + timedelta(minutes=59))
    assert await content(store, message) == b"content"
    await store.tidy(NOON + timedelta(minutes=60))
    assert await content(store, message) is None
    assert await verify(store) == []
    await store.close()


async def test_a_day_goes_in_portions(tmp_path, monkeypatch):
    monkeypatch.setattr(tidy, "_PORTION", 10)
    store = await opened(tmp_path)
    _, leased = await put(store, lease=lease())
    await settle(store, leased)
    await store.write(lambda t: t.add_events([event() for _ in range(25)]))
    days = lambda kind: store.read(lambda r: r.days(kind))  # noqa: E731
    assert len([*await days("event"), *await days("delivery")]) >= 2
    await store.tidy(NOON + timedelta(days=400))
    assert [*await days("event"), *await days("delivery")] == []
    assert await verify(store) == []
    await store.close()


async def test_segments_of_the_dead_go_with_their_last_row(tmp_path):
    dead = await opened(tmp_path)
    message, leased = await put(dead, lease=lease())
    await dead.close()
    store = await opened(tmp_path)
    await put(store)
    first, second = segments(tmp_path / CONTENT)
    await store.tidy(NOON)
    assert segments(tmp_path / CONTENT) == [first, second]
    await settle(store, leased)
    await store.tidy(NOON)
    assert segments(tmp_path / CONTENT) == [second]
    assert await verify(store) == []
    await store.close()
    assert message.id != second


async def test_a_quiet_worker_s_delivered_content_goes_from_the_disk(tmp_path, monkeypatch):
    store = await opened(tmp_path)
    _, leased = await put(store, b"secret", lease=lease())
    await settle(store, leased)
    await store.tidy(NOON)
    (segment,) = segments(tmp_path / CONTENT)
    monkeypatch.setattr("gatepost.store.sqlite_writer.REST", 0.0)  # it has been there for a while
    await store.tidy(NOON)
    assert segments(tmp_path / CONTENT) == []
    message, _ = await put(store, b"next")
    assert segments(tmp_path / CONTENT) != [segment]
    assert await content(store, message) == b"next"
    assert await verify(store) == []
    await store.close()


async def test_who_keeps_no_house_leaves_its_segment_all_the_same(tmp_path, monkeypatch):
    http, worker = await opened(tmp_path), await opened(tmp_path)
    _, leased = await put(http, b"secret", lease=lease())
    await settle(worker, leased)
    monkeypatch.setattr("gatepost.store.sqlite_writer.REST", 0.0)  # it has been there for a while
    await worker.tidy(NOON)
    assert len(segments(tmp_path / CONTENT)) == 1
    await http.rest()
    await worker.tidy(NOON)
    assert segments(tmp_path / CONTENT) == []
    assert await verify(worker) == []
    await http.close()
    await worker.close()


async def test_what_is_left_in_a_segment_of_garbage_moves_on(tmp_path):
    dead = await opened(tmp_path)
    gone = [await put(dead, b"x" * 5000, lease=lease()) for _ in range(5)]
    stays = [(await put(dead, octets))[0] for octets in (b"long-lived", b"")]
    await dead.close()
    (old,) = segments(tmp_path / CONTENT)
    store = await opened(tmp_path)
    for _, leased in gone:
        await settle(store, leased)
    await store.tidy(NOON)
    assert segments(tmp_path / CONTENT) == [old], "it is too young: the rest may go by itself"
    long_ago = time.time() - 3600
    os.utime(tmp_path / CONTENT / f"{old}.seg", (long_ago, long_ago))
    await store.tidy(NOON)
    assert old not in segments(tmp_path / CONTENT)
    assert [await content(store, message) for message in stays] == [b"long-lived", b""]
    assert await verify(store) == []
    await store.close()


async def test_damaged_content_is_not_moved_and_its_segment_stays(tmp_path):
    dead = await opened(tmp_path)
    _, leased = await put(dead, b"x" * 5000, lease=lease())
    message, _ = await put(dead, b"damaged")
    await dead.close()
    (old,) = segments(tmp_path / CONTENT)
    path = tmp_path / CONTENT / f"{old}.seg"
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b"damaged"))
        file.write(b"DAMAGED")
    store = await opened(tmp_path)
    await settle(store, leased)
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    await store.tidy(NOON)
    assert path.exists()
    with pytest.raises(ContentDamagedError):
        await content(store, message)
    await store.close()


async def test_only_one_process_tidies_at_a_time(store, tmp_path):
    import fcntl

    message, leased = await put(store, lease=lease())
    await settle(store, leased, DeliveryState.CAPTURED)
    with (tmp_path / "tidy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await store.tidy(NOON + timedelta(days=9))
        assert await content(store, message) == b"content"
    await store.tidy(NOON + timedelta(days=9))
    assert await content(store, message) is None


# -- the log


async def test_checkpoints_bound_the_log_while_writing(store, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_checkpoint, "_GROWTH", 20)
    log = tmp_path / f"{DATABASE}-wal"
    for _ in range(60):
        await asyncio.gather(*(put(store) for _ in range(10)))
    assert log.stat().st_size < 60 * 20 * 4096
    await store.close()
    again = await opened(tmp_path)
    rows = await again.read(lambda r: r.deliveries(QueueFilter(), limit=999))
    assert len(rows) == 600
    assert await verify(again) == []
    await again.close()


async def test_a_copy_without_a_write_ahead_log_gets_one(tmp_path):
    store = await opened(tmp_path)
    await put(store)
    await store.close()
    database, copy = tmp_path / DATABASE, tmp_path / "copy"
    connection = apsw.Connection(str(database))
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    copy.rename(database)
    store = await opened(tmp_path)
    await put(store)
    assert (tmp_path / f"{DATABASE}-wal").stat().st_size > 0
    assert await verify(store) == []
    await store.close()
