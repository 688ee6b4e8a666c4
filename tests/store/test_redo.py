"""The power goes between two syncs of the rows: what was accepted comes back from its segment."""

import asyncio
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import apsw
import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.quota import Unit, Window, account_subject, credential_subject
from gatepost.model.submission import Submission
from gatepost.operate.recovery import recover
from gatepost.operate.repair import is_behind
from gatepost.store import sqlite_checkpoint, sqlite_writer
from gatepost.store.content_identity import WORN
from gatepost.store.envelope import Envelope, envelope_of
from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.store.queue_view import QueueFilter
from gatepost.store.quota_protocols import Spending
from gatepost.store.recovered import LookLaterError, OldDatabaseError
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_checkpoint import checkpoint
from gatepost.store.sqlite_connection import connect, write_again
from gatepost.store.sqlite_place import CONTENT, DATABASE, DOUBT
from gatepost.store.sqlite_redo import MOST, TOLD
from gatepost.store.sqlite_repair import repair
from gatepost.store.sqlite_restore import Journal
from gatepost.store.sqlite_writer import SqliteWriter
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


async def test_what_comes_back_counts_once(store, power):
    """Of three messages with limits, one whose rows are on the disk and counted, and two that come back."""
    app = CredentialId("c" * 32)
    subjects = (account_subject("app@x.example"), credential_subject(app))

    async def accept_counted(spender: CredentialId | None, *, drawn: int = 2) -> Envelope:
        message = submission(account=AccountName("app@x.example"), credential=spender)
        ways = [delivery(message, f"r{n}@y.example") for n in range(2)]
        known = subjects if spender else subjects[:1]
        spendings = [Spending(each, WORKER, NOON, 1, drawn) for each in known]

        def job(transaction):
            transaction.add_deliveries(message, ways)
            transaction.spend(spendings)

        envelope = envelope_of(message, ways, spendings, suffices=True)
        await store.write(job, (message.id, (OCTETS,)), envelope)
        return envelope

    async def counts(of: SqliteStore) -> list[tuple[int, int]]:
        tallies = [await of.read(lambda r, s=subject: r.tally(s)) for subject in subjects]
        at = NOON.timestamp() + 60
        return [
            (each.used(Unit.MESSAGES, Window.HOUR, at), each.used(Unit.RECIPIENTS, Window.HOUR, at))
            for each in tallies
        ]

    assert (await accept_counted(app)).suffices
    power.synced()
    await accept_counted(app)
    await accept_counted(None)
    await accept(store)  # counts nowhere
    before = await counts(store)
    assert before == [(3, 6), (2, 4)]
    after = await opened(power.lost())
    assert await counts(after) == [(1, 2), (1, 2)]
    assert await after.recover() == 3
    assert await counts(after) == before
    assert await after.recover() == 0
    assert await counts(after) == before
    await after.close()
    # One that was named twice costs more than its envelope tells: its commit is synced.
    assert not (await accept_counted(app, drawn=3)).suffices


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


async def test_who_is_committed_alone_is_synced(store, power):
    """One of a batch raised: the first of the others, alone, tells of the contents of all."""

    def ready() -> None:
        gate.wait()

    gate = threading.Event()
    held = store._commits.peek(ready)
    both = asyncio.gather(accept(store), store.write(fails), accept(store), return_exceptions=True)
    await asyncio.sleep(0)
    committed = []
    commit = store._writer.commit

    def noted(runs, places, *, is_logged=False):
        results = commit(runs, places, is_logged=is_logged)
        committed.append((len(runs), is_logged))
        return results

    store._writer.commit = noted
    gate.set()
    await held
    first, failed, last = await both
    assert isinstance(failed, ZeroDivisionError)
    assert committed == [(1, False), (1, False)]
    power.synced()
    after = await opened(power.lost())
    await after.recover()
    assert set(await waiting(after)) == {first.id, last.id}
    await after.close()


@pytest.mark.parametrize("what", ["head", "content"])
async def test_a_disk_that_does_not_say_what_stands_there_concludes_nothing(
    store, power, what, monkeypatch
):
    power.synced()
    message = await accept(store)
    after = await opened(power.lost())
    pread = os.pread

    def fails_once(file, length, offset):
        if (length > len(OCTETS)) is (what == "head"):
            raise OSError(errno.EIO, "Input/output error")
        return pread(file, length, offset)

    monkeypatch.setattr(os, "pread", fails_once)
    await recover(after, after.data_dir)
    monkeypatch.undo()
    await after.tidy(NOON)
    assert set(await waiting(after)) == {message.id}
    await after.close()


@pytest.mark.parametrize("fails", [1, 2], ids=["bringing back", "and noting that"])
async def test_rows_that_cannot_be_written_now_are_written_later(store, power, fails, monkeypatch):
    power.synced()
    message = await accept(store)
    after = await opened(power.lost())
    commit, left = SqliteWriter.commit, [fails]

    def full(writer, runs, places, *, is_logged=False):
        if runs and left[0]:
            left[0] -= 1
            raise DiskFullError("database or disk is full")
        return commit(writer, runs, places, is_logged=is_logged)

    monkeypatch.setattr(SqliteWriter, "commit", full)
    is_told = False
    try:
        await recover(after, after.data_dir)
    except StoreUnavailableError:
        is_told = True
    assert is_told is (fails == 2)  # nobody serves, and nothing is tidied away
    if is_told:
        await recover(after, after.data_dir)
    await after.tidy(NOON)
    assert set(await waiting(after)) == {message.id}
    await after.close()


async def test_a_segment_that_somebody_holds_is_looked_at_later(store, power):
    power.synced()
    message = await accept(store)
    directory = power.lost()
    (path,) = (directory / CONTENT).glob("*.seg")
    after = await opened(directory)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert await after.recover() == 0
        await after.tidy(NOON)
        assert path.exists()
    await after.tidy(NOON)
    assert set(await waiting(after)) == {message.id}
    assert [name for name, _ in await after.read(lambda r: r.rows(TOLD))] == [path.stem]
    await after.close()


async def test_a_segment_that_comes_back_from_an_older_time_is_not_sent_again(store, power):
    await accept(store, NOON - MOST - timedelta(seconds=1))
    await store.write(lambda t: t.add_events([Event(EventKind.SIGNATURE_BROKEN, NOON)]))
    await store.write(lambda t: t.execute("DELETE FROM segment_log"))
    await store.write(lambda t: t.execute("DELETE FROM submission"))
    power.synced()
    after = await opened(power.lost())
    with pytest.raises(OldDatabaseError):
        await after.recover()
    await after.close()


async def test_a_segment_that_was_removed_may_come_back_empty_handed(store, power):
    await accept(store)
    leased = await store.write(lambda t: t.lease_due(NOON, lease(), limit=9))
    await store.write(lambda t: t.settle([settled(one) for one in leased]))
    (path,) = (power.directory / CONTENT).glob("*.seg")
    octets = path.read_bytes()
    await store.write(lambda t: t.execute("DELETE FROM content"))
    await store.close()
    after = await opened(power.directory)
    much_later = NOON + timedelta(days=60)
    await after.tidy(much_later)
    assert not path.exists()
    assert await after.read(lambda r: r.settled_at()) is None
    path.write_bytes(octets)
    assert await after.recover() == 0
    assert await waiting(after) == {}
    await after.tidy(much_later)
    assert not path.exists()
    await after.tidy(NOON + timedelta(days=10_000))
    assert await after.read(lambda r: r.rows(TOLD)) == []
    await after.close()


async def test_a_log_is_written_again_up_to_its_last_commit(store, power):
    await accept(store)
    connection = connect(power.directory / DATABASE)
    log = power.directory / f"{DATABASE}-wal"
    before = log.read_bytes()
    with log.open("ab") as file:
        file.write(b"frames of a commit that failed")
    write_again(connection, log)
    assert log.read_bytes() == before
    connection.close()
    message = await accept(store)
    assert message.id in await waiting(store)


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
    with pytest.raises(LookLaterError, match="mounted"):
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


async def test_a_repair_does_not_call_doubtful_what_a_route_holds(store, power):
    power.synced()
    message = submission()
    ways = [delivery(message, state=DeliveryState.HELD)]
    await store.write(
        lambda t: t.add_deliveries(message, ways),
        (message.id, (OCTETS,)),
        Envelope(message, ways, suffices=True),
    )
    directory = power.lost()
    done = repair(directory, directory / "damaged", Journal(0, NOON, lambda _: ()), NOON)
    assert (done.restored.messages, done.restored.due, done.restored.held) == (1, 1, {})
    after = await opened(directory)
    assert await waiting(after) == {message.id: DeliveryState.HELD}
    await after.close()


async def test_after_a_sync_that_failed_the_log_is_written_again(store, power, monkeypatch):
    await accept(store)
    written = []
    monkeypatch.setattr(sqlite_writer, "write_again", lambda _, log: written.append(log.name))
    (power.directory / DOUBT).touch()
    checkpoint(power.directory)
    assert (power.directory / f"{DATABASE}-wal").stat().st_size
    for _ in range(2):
        await accept(store)
    assert written == [f"{DATABASE}-wal"]
    assert not (power.directory / DOUBT).exists()


async def test_a_sync_that_fails_is_told_to_other_processes(store, power, monkeypatch):
    def fails(*_, **__):
        raise apsw.IOError("fsync")

    monkeypatch.setattr(store._writer, "_commit", fails)
    with pytest.raises(StoreUnavailableError):
        await accept(store)
    monkeypatch.undo()
    assert (power.directory / DOUBT).exists()
    # Its rows may be on the disk all the same: what they name stays.
    (segment,) = (power.directory / CONTENT).glob("*.seg")
    assert segment.read_bytes().count(OCTETS) == 1
    message = await accept(store)
    assert not (power.directory / DOUBT).exists()
    assert set(await waiting(store)) == {message.id}


class SyncFails(apsw.VFS):
    """Files of which none can be synced."""

    class File(apsw.VFSFile):
        def xSync(self, _flags: int) -> None:  # noqa: N802 - SQLite's name
            raise apsw.IOError("fsync")

    def __init__(self) -> None:
        super().__init__("sync-fails", "")

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        return self.File("", name, flags)


async def test_a_sync_that_fails_in_a_checkpoint_is_told_to_all_processes(
    store, power, monkeypatch
):
    """Of pages that it could not write the kernel tells those who have the file open, once; and it
    drops them.
    """
    vfs = SyncFails()

    def connect_there(path: Path) -> apsw.Connection:
        connection = apsw.Connection(str(path), vfs="sync-fails")
        list(connection.execute("PRAGMA wal_autocheckpoint = 0; SELECT * FROM submission"))
        return connection

    monkeypatch.setattr(sqlite_checkpoint, "connect", connect_there)
    await accept(store)
    try:
        with pytest.raises(apsw.IOError):
            checkpoint(power.directory)
    finally:
        vfs.unregister()
    assert (power.directory / DOUBT).exists()
    monkeypatch.undo()
    message = await accept(store)
    assert not (power.directory / DOUBT).exists()
    assert message.id in await waiting(store)


async def test_a_store_that_is_to_be_there_is_not_made_anew(tmp_path):
    """A worker that is born while its directory is away would serve an empty one."""
    gone = tmp_path / "gone"
    with pytest.raises(StoreUnavailableError, match="missing"):
        await open_sqlite(gone, WORKER, is_there=True)
    assert not gone.exists()
