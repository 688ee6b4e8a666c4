"""A damaged database beside segments and a journal that are whole: no mail is lost, none sent twice."""

import os
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from gatepost.events.journal import Journal as JournalFiles
from gatepost.events.journal import catch_up
from gatepost.events.journal_read import events_since, last_position
from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import WorkerId
from gatepost.store.envelope import Envelope
from gatepost.store.evidence import PERHAPS_DELIVERED, PERHAPS_REFUSED, PERHAPS_RETURNED
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_place import CONTENT, DATABASE
from gatepost.store.sqlite_repair import Repair, repair
from gatepost.store.sqlite_restore import Journal
from gatepost.store.verify import verify
from tests.store.makers import CONTENT as OCTETS
from tests.store.makers import NOON, delivery, lease, settled, submission
from tests.support.write_ahead_log import copy_log_in

WORKER = WorkerId("node/1/0")
PAGE = 4096
MINUTE = timedelta(minutes=1)
DUE, HELD = DeliveryState.DUE, DeliveryState.HELD


@dataclass
class Node:
    """A state directory, and what its owner was promised."""

    directory: Path
    clock: datetime = NOON
    waiting: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    store: SqliteStore | None = None

    async def open(self) -> "Node":
        self.store = await open_sqlite(self.directory, WORKER, clock=lambda: self.clock)
        return self

    async def accept(self, count: int, recipients: int = 2) -> list[Delivery]:
        """Take mail as `reception.accept` does, a second for each message."""
        taken = []
        for _ in range(count):
            self.clock += timedelta(seconds=1)
            message = submission(received_at=self.clock)
            ways = [
                delivery(message, f"r{n}@y.example", next_attempt_at=self.clock)
                for n in range(recipients)
            ]

            def job(transaction, message=message, ways=ways):
                transaction.add_deliveries(message, ways)
                transaction.add_events([Event(EventKind.ACCEPTED, self.clock, message.id)])

            await self.store.write(job, (message.id, (OCTETS,)), Envelope(message, ways))
            taken += ways
        self.waiting |= {each.id for each in taken}
        return taken

    async def settle(
        self,
        count: int,
        state: DeliveryState = DeliveryState.DELIVERED,
        kind: EventKind = EventKind.DELIVERED,
        **facts,
    ) -> set[str]:
        """Make so many deliveries end, or begin to wait."""
        self.clock += MINUTE
        leased = await self.store.write(lambda t: t.lease_due(self.clock, lease(), limit=count))
        again = self.clock + timedelta(hours=1) if state is DUE else None
        if again:
            facts["next_attempt_at"] = again.isoformat()

        def job(transaction):
            for one in leased:
                of = (one.submission.id, one.delivery.id)
                event = Event(kind, self.clock, *of, facts=facts)
                result = settled(one, state, events=(event,), next_attempt_at=again)
                transaction.settle([result])

        await self.store.write(job)
        ids = {one.delivery.id for one in leased}
        if state.is_final:
            self.ended |= ids
            self.waiting -= ids
        return ids

    async def journal(self) -> None:
        """Write what there is into the journal."""
        (self.directory / "journal").mkdir(exist_ok=True)
        files = JournalFiles(self.directory / "journal", timedelta(days=30))
        await catch_up(self.store, files, lambda: self.clock)
        files.close()

    async def close(self) -> None:
        await self.store.close()
        self.store = None

    def copied(self, to: Path) -> "Node":
        """Copy what stands on the disk, as after a kill, or after `close`."""
        shutil.copytree(self.directory, to)
        return Node(to, self.clock, set(self.waiting), set(self.ended))

    def repair(self) -> Repair:
        directory = self.directory / "journal"
        journal = Journal(last_position(directory), self.clock, partial(events_since, directory))
        return repair(self.directory, self.directory / "damaged", journal, self.clock)

    async def queue(self) -> dict[str, Delivery]:
        """Return what waits, after a look at whether the store is whole."""
        await self.open()
        rows = await self.store.read(lambda reading: reading.deliveries(QueueFilter(), limit=9999))
        faults = await verify(self.store)
        for row in rows:
            octets = await self.store.read(lambda r, of=row.submission.id: r.content(of))
            assert octets == OCTETS
        await self.close()
        assert faults == []
        return {row.delivery.id: row.delivery for row in rows}


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    """A node with mail that waits and mail that went, all of it in the journal."""
    made = await Node(tmp_path / "node").open()
    await made.accept(60)
    await made.settle(50)
    await made.settle(10, DUE, EventKind.DEFERRED, attempt=1, text="busy")
    await made.journal()
    return made


async def test_of_any_page_that_is_destroyed_no_mail_is_lost_and_none_sent_twice(
    node: Node, tmp_path: Path
):
    await node.close()
    copy_log_in(node.directory / DATABASE)
    pages = (node.directory / DATABASE).stat().st_size // PAGE
    held_on, restored = [], 0
    for page in range(pages):
        torn = node.copied(tmp_path / f"page{page}")
        with (torn.directory / DATABASE).open("r+b") as file:
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)
        done = torn.repair()
        left = await torn.queue()
        assert set(left) == node.waiting, f"page {page}: {done.lost}"
        assert not [words for words in done.lost if "finished deliveries" not in words]
        held = {each.id for each in left.values() if each.state is HELD}
        assert all(left[each].reason == PERHAPS_DELIVERED for each in held)
        held_on += [page] if held else []
        restored += done.restored.due
        shutil.rmtree(torn.directory)
    assert restored
    # Where the count of events stood, it is not known whether the journal has all of them.
    assert len(held_on) <= 2, held_on


async def test_a_database_that_is_gone_is_made_anew(node: Node):
    await node.close()
    for path in node.directory.glob(f"{DATABASE}*"):
        path.unlink()
    done = node.repair()
    left = await node.queue()
    assert set(left) == node.waiting
    states = [each.state for each in left.values()]
    assert states.count(DUE) == 10, "what waits for a later attempt was not made"
    assert (done.restored.due, done.restored.held) == (10, {PERHAPS_DELIVERED: 60})
    assert {each.attempts for each in left.values() if each.state is DUE} == {1}


@pytest.mark.parametrize("how", ["remove", "cut", "tear"])
async def test_a_log_that_is_lost_or_torn_loses_nothing(node: Node, tmp_path: Path, how: str):
    copy_log_in(node.directory / DATABASE)
    new = await node.accept(10)
    gone = await node.settle(60)
    later = await node.settle(20, DUE, EventKind.DEFERRED, attempt=1)
    assert (len(gone), len(later)) == (60, 20)
    await node.journal()
    unsaid = await node.accept(3)  # the journal was not told of them any more
    killed = node.copied(tmp_path / "killed")
    await node.close()
    log = killed.directory / f"{DATABASE}-wal"
    size = log.stat().st_size
    if how == "remove":
        log.unlink()
    elif how == "cut":
        os.truncate(log, size // 2)
    else:
        with log.open("r+b") as file:
            file.seek(size // 3)
            file.write(os.urandom(size - size // 3))
    done = killed.repair()
    left = await killed.queue()
    assert set(left) == node.waiting
    assert not set(left) & node.ended
    assert done.lost == []
    reasons = {of.id: left[of.id].reason for of in unsaid}
    assert set(reasons.values()) == {PERHAPS_REFUSED}
    assert all(left[of].state is DUE and left[of].attempts == 1 for of in later & set(left))
    assert all(left[of.id].state is HELD for of in new if of.id in left and of.id not in later)


async def test_a_log_that_was_cut_behind_its_last_commit_changes_nothing(
    node: Node, tmp_path: Path
):
    killed = node.copied(tmp_path / "killed")
    await node.close()
    done = killed.repair()
    left = await killed.queue()
    assert set(left) == node.waiting
    assert {each.state for each in left.values()} == {DUE}
    assert (done.restored.messages, done.restored.held, done.torn) == (0, {}, [])


async def test_content_that_nobody_accepted_is_not_sent(node: Node, tmp_path: Path):
    """It came twice, or its client heard no 250 and comes again."""
    clock = node.clock
    message = submission(received_at=clock)

    def fails(transaction):
        raise ZeroDivisionError

    envelope = Envelope(message, [delivery(message)])
    with pytest.raises(ZeroDivisionError):
        await node.store.write(fails, (message.id, (OCTETS,)), envelope)
    await node.store.write(lambda transaction: None, (message.id, (OCTETS,)), envelope)
    node.clock += MINUTE
    await node.accept(1)
    await node.journal()
    await node.close()
    done = node.repair()
    assert set(await node.queue()) == node.waiting
    assert (done.restored.unaccepted, done.restored.messages) == (1, 0)


async def test_a_segment_whose_tail_is_cut_is_said_to_be(node: Node, tmp_path: Path):
    await node.close()
    copy_log_in(node.directory / DATABASE)
    (segment,) = (node.directory / CONTENT).glob("*.seg")
    os.truncate(segment, segment.stat().st_size - 7)
    for path in node.directory.glob(f"{DATABASE}*"):
        path.unlink()
    node.repair()
    left = await node.queue()
    assert len(node.waiting - set(left)) <= 2, "the last message, which is not whole"
    assert set(left) < node.waiting


async def test_content_that_is_destroyed_in_its_segment_is_named_and_not_sent(node: Node):
    await node.close()
    (segment,) = (node.directory / CONTENT).glob("*.seg")
    octets = bytearray(segment.read_bytes())
    at = octets.rindex(OCTETS)
    octets[at : at + 4] = b"\xa5" * 4
    segment.write_bytes(octets)
    for path in node.directory.glob(f"{DATABASE}*"):
        path.unlink()
    done = node.repair()
    assert len(done.lost) == 1
    assert "its content is damaged" in done.lost[0]
    assert len(node.waiting - set(await node.queue())) == 2


async def test_a_failure_of_which_perhaps_nobody_was_told_comes_back_held(
    node: Node, tmp_path: Path
):
    copy_log_in(node.directory / DATABASE)
    failed = await node.settle(1, DeliveryState.REFUSED, EventKind.REFUSED, code=550)
    told = await node.settle(1, DeliveryState.REFUSED, EventKind.REFUSED, code=550)
    (told_id,) = told
    row = (await node.store.read(lambda r: r.deliveries(QueueFilter(id=told_id), limit=1)))[0]
    sent = Event(EventKind.RETURNED, node.clock, row.submission.id, row.delivery.id)
    await node.store.write(lambda transaction: transaction.add_events([sent]))
    await node.journal()
    await node.close()
    for path in node.directory.glob(f"{DATABASE}*"):
        path.unlink()
    node.repair()
    left = await node.queue()
    assert {each.id for each in left.values() if each.reason == PERHAPS_RETURNED} == failed
    assert not told & set(left)


async def test_without_journal_and_database_everything_is_held(node: Node):
    await node.close()
    shutil.rmtree(node.directory / "journal")
    for path in node.directory.glob(f"{DATABASE}*"):
        path.unlink()
    node.repair()
    left = await node.queue()
    assert set(left) == node.waiting | node.ended
    assert {(each.state, each.reason) for each in left.values()} == {(HELD, PERHAPS_REFUSED)}


async def test_content_that_was_moved_on_comes_back_with_what_was_left_to_do(
    node: Node, monkeypatch: pytest.MonkeyPatch
):
    await node.close()
    old = next((node.directory / CONTENT).glob("*.seg"))
    os.utime(old, (0, 0))
    monkeypatch.setattr("gatepost.store.sqlite_tidy._NEEDED", 2.0)
    await node.open()
    await node.store.tidy(node.clock)
    await node.close()
    assert not old.exists()
    for path in (*node.directory.glob(f"{DATABASE}*"), *node.directory.glob("journal/*")):
        path.unlink()
    node.repair()
    left = await node.queue()
    assert set(left) == node.waiting
    # What had been tried waits for its time.
    expected = {(HELD, PERHAPS_DELIVERED, 0), (DUE, "", 0)}
    assert {(each.state, each.reason, each.attempts) for each in left.values()} == expected
