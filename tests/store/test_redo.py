"""The power goes between two syncs of the rows: what was accepted comes back from its segment."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import WorkerId
from gatepost.model.submission import Submission
from gatepost.operate.repair import is_behind
from gatepost.store import sqlite_writer
from gatepost.store.content_identity import WORN
from gatepost.store.envelope import Envelope
from gatepost.store.protocols import ContentAwayError, QueueFilter
from gatepost.store.recovered import OldDatabaseError
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_place import CONTENT, DATABASE
from gatepost.store.sqlite_redo import MOST, TOLD
from gatepost.store.sqlite_repair import repair
from gatepost.store.sqlite_restore import Journal
from gatepost.store.verify import verify
from tests.store.makers import NOON, delivery, lease, settled, submission

WORKER = WorkerId("node/1/0")
OCTETS = b"Subject: kept\r\n\r\nstill here\r\n"


async def opened(directory: Path) -> SqliteStore:
    return await open_sqlite(directory, WORKER, clock=lambda: NOON)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    """A store that syncs its rows once, and then only when it must."""
    monkeypatch.setattr(sqlite_writer, "SYNC_WITHIN", 3600.0)
    made = await opened(tmp_path / "node")
    await made.write(lambda t: t.add_events([Event(EventKind.SIGNATURE_BROKEN, NOON)]))
    yield made
    await made.close()


async def accept(store: SqliteStore, at: datetime = NOON, **fields: object) -> Submission:
    message = submission(received_at=at)
    ways = [delivery(message, f"r{n}@y.example") for n in range(2)]

    def job(transaction):
        transaction.add_deliveries(message, ways)
        transaction.add_events([Event(EventKind.ACCEPTED, at, message.id)])

    envelope = Envelope(message, ways, suffices=True, **fields)
    await store.write(job, (message.id, (OCTETS,)), envelope)
    return message


class Power:
    """What the disk has of the rows; of the segments it has all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kept = directory.with_name("kept")

    def synced(self) -> None:
        """Remember the rows as they are on the disk now."""
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir()
        for end in ("", "-wal"):
            shutil.copy(self.directory / f"{DATABASE}{end}", self.kept)

    def lost(self) -> Path:
        """Return a state directory as it is after the power went."""
        to = self.directory.with_name("after")
        shutil.copytree(self.directory, to)
        for end in ("", "-wal", "-shm"):
            (to / f"{DATABASE}{end}").unlink()
        for path in self.kept.iterdir():
            shutil.copy(path, to)
        return to


@pytest.fixture
def power(tmp_path: Path) -> Power:
    return Power(tmp_path / "node")


async def waiting(store: SqliteStore) -> dict[str, DeliveryState]:
    assert await verify(store) == []
    rows = await store.read(lambda r: r.deliveries(QueueFilter(), limit=99))
    return {row.delivery.submission_id: row.delivery.state for row in rows}


async def kinds(store: SqliteStore, message: Submission) -> list[EventKind]:
    events = await store.read(lambda r: r.events(submission_id=message.id))
    return [stored.event.kind for stored in events]


async def test_what_was_accepted_comes_back(store, power):
    power.synced()
    first, second = await accept(store), await accept(store, NOON + timedelta(seconds=1))
    after = await opened(power.lost())
    assert await waiting(after) == {}
    assert not await is_behind(after, after.data_dir)
    assert await after.recover() == 2
    assert await waiting(after) == dict.fromkeys([first.id, second.id], DeliveryState.DUE)
    assert await after.read(lambda r: r.content(first.id)) == OCTETS
    assert await kinds(after, first) == [EventKind.ACCEPTED, *[EventKind.RESTORED] * 2]
    assert len(await after.read(lambda r: r.events())) == 7
    assert await after.recover() == 0
    await after.close()


async def test_who_was_suppressed_stays_so(store, power):
    power.synced()
    message = submission()
    ways = [
        delivery(message, "gone@y.example", state=DeliveryState.CANCELLED, reason="suppressed"),
        delivery(message),
    ]
    await store.write(
        lambda t: t.add_deliveries(message, ways),
        (message.id, (OCTETS,)),
        Envelope(message, ways, suffices=True),
    )
    after = await opened(power.lost())
    assert await after.recover() == 1
    assert await kinds(after, message) == [
        EventKind.ACCEPTED,
        EventKind.SUPPRESSED,
        EventKind.RESTORED,
    ]
    rows = await after.read(lambda r: r.deliveries(QueueFilter(), limit=9))
    assert [row.delivery.id for row in rows] == [ways[1].id]
    await after.close()


async def test_what_came_to_its_end_does_not_come_back(store, power):
    done = await accept(store)
    leased = await store.write(lambda t: t.lease_due(NOON, lease(), limit=9))
    await store.write(lambda t: t.settle([settled(one) for one in leased]))
    power.synced()
    await accept(store)
    after = await opened(power.lost())
    assert await after.recover() == 1
    assert done.id not in await waiting(after)
    await after.close()


async def test_rows_that_must_be_synced_sync_all_before_them(store, power):
    before = await accept(store)
    await store.write(lambda t: t.add_events([Event(EventKind.SIGNATURE_BROKEN, NOON)]))
    power.synced()
    after = await opened(power.lost())
    assert await after.recover() == 0
    assert set(await waiting(after)) == {before.id}
    await after.close()


async def test_a_journal_tells_only_what_is_synced(store):
    async def told() -> list[EventKind]:
        return [e.event.kind for e in await store.read(lambda r: r.events())]

    message = await accept(store)
    assert await told() == [EventKind.SIGNATURE_BROKEN]
    assert await kinds(store, message) == [EventKind.ACCEPTED]
    await store.tidy(NOON)
    assert await told() == [EventKind.SIGNATURE_BROKEN, EventKind.ACCEPTED]


async def test_it_is_synced_within_a_second_though_nothing_else_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_writer, "SYNC_WITHIN", 0.2)
    store = await opened(tmp_path)
    for _ in range(2):
        await accept(store)
    async with asyncio.timeout(30):
        while len(await store.read(lambda r: r.events())) < 2:
            await asyncio.sleep(0.01)
    await store.close()


async def test_what_was_synced_when_the_store_was_closed_needs_no_redo(store, power):
    await accept(store)
    await store.close()
    power.synced = lambda: None
    after = await opened(power.directory)
    assert await after.recover() == 0
    assert len(await waiting(after)) == 1
    await after.close()


def fails(transaction):
    raise ZeroDivisionError


async def test_what_was_refused_alone_is_taken_back(store, power):
    power.synced()
    message = submission()
    envelope = Envelope(message, [delivery(message)], suffices=True)
    with pytest.raises(ZeroDivisionError):
        await store.write(fails, (message.id, (OCTETS,)), envelope)
    after = await opened(power.lost())
    assert await after.recover() == 0
    await after.close()


async def test_what_was_refused_among_others_does_not_come_back(store, power, monkeypatch):
    sync = store._writer.sync

    def sync_to_disk():
        sync()
        power.synced()

    monkeypatch.setattr(store._writer, "sync", sync_to_disk)
    power.synced()
    message = submission()
    envelope = Envelope(message, [delivery(message)], suffices=True)
    first, refused, last = await asyncio.gather(
        accept(store), store.write(fails, (message.id, (OCTETS,)), envelope), accept(store),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(refused, ZeroDivisionError)
    after = await opened(power.lost())
    await after.recover()
    assert set(await waiting(after)) == {first.id, last.id}
    await after.close()


async def test_a_database_that_is_an_old_copy_is_not_taken_for_a_loss_of_power(store, power):
    power.synced()
    await accept(store)
    await accept(store, NOON + MOST + timedelta(seconds=1))
    after = await opened(power.lost())
    with pytest.raises(OldDatabaseError):
        await after.recover()
    assert await waiting(after) == {}
    await after.close()


async def test_nothing_is_taken_from_a_segment_that_somebody_writes_to(store, power):
    await accept(store)
    other = await open_sqlite(power.directory, WorkerId("node/1/1"), clock=lambda: NOON)
    await other.write(lambda t: t.execute("DELETE FROM segment_log"))
    assert await other.recover() == 0
    await other.close()


async def test_what_a_dead_writer_left_uncommitted_is_nobodys(store, power):
    """No client has heard of it; and at the next loss of power it must not come back."""
    message = submission()
    envelope = Envelope(message, [delivery(message)], suffices=True)
    store._writer.keep([(message.id, (OCTETS,))], [envelope])
    store._writer._segment.close()
    await store.tidy(NOON)
    power.synced()
    after = await opened(power.lost())
    assert await after.recover() == 0
    assert await waiting(after) == {}
    await after.close()


async def test_a_torn_end_is_left_out(store, power):
    power.synced()
    whole, torn = await accept(store), await accept(store)
    directory = power.lost()
    (segment,) = (directory / CONTENT).glob("*.seg")
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 3)
    after = await opened(directory)
    assert await after.recover() == 1
    assert set(await waiting(after)) == {whole.id}
    assert torn.id not in await waiting(after)
    await after.close()


async def test_contents_that_are_not_to_be_seen_are_looked_at_later(store, power):
    power.synced()
    message = await accept(store)
    directory = power.lost()
    elsewhere = directory.with_name("elsewhere")
    (directory / CONTENT).rename(elsewhere)
    after = await opened(directory)
    with pytest.raises(ContentAwayError):
        await after.recover()
    await after.write(lambda t: t.add_events([Event(EventKind.SIGNATURE_BROKEN, NOON)]))
    (directory / CONTENT).rmdir() if (directory / CONTENT).exists() else None
    elsewhere.rename(directory / CONTENT)
    assert (directory / CONTENT / WORN).exists()
    await after.tidy(NOON)
    assert set(await waiting(after)) == {message.id}
    assert await after.read(lambda r: [row for row in r.rows(TOLD) if not row[0]]) == []
    await after.close()


async def test_a_repair_brings_it_back_as_well(store, power):
    power.synced()
    message = await accept(store)
    directory = power.lost()
    done = repair(directory, directory / "damaged", Journal(0, NOON, lambda _: ()), NOON)
    assert (done.restored.messages, done.restored.held) == (1, {})
    after = await opened(directory)
    assert await after.recover() == 0
    assert set(await waiting(after)) == {message.id}
    await after.close()


async def test_after_a_sync_that_failed_the_log_is_written_again(store, monkeypatch):
    await accept(store)
    written = []
    monkeypatch.setattr(sqlite_writer, "write_again", written.append)
    store._writer._is_doubtful = True
    await accept(store)
    assert [path.name for path in written] == [f"{DATABASE}-wal"]
    await accept(store)
    assert len(written) == 1
