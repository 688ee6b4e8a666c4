"""A repair counts in quotas what it brings back: once, and nothing whose count is left."""

import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.quota import Unit, Window, account_subject, credential_subject
from gatepost.store.envelope import envelope_of
from gatepost.store.quota_protocols import Spending
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_place import DATABASE
from gatepost.store.sqlite_repair import Repair, repair
from gatepost.store.sqlite_restore import Journal
from tests.store.makers import CONTENT as OCTETS
from tests.store.makers import NOON, delivery, lease, settled, submission
from tests.support.write_ahead_log import copy_log_in

WORKER = WorkerId("node/1/0")
PAGE = 4096
APP = CredentialId("c" * 32)
ACCOUNT = AccountName("app@x.example")
SUBJECTS = (account_subject(ACCOUNT), credential_subject(APP))


@dataclass
class Node:
    """A state directory, and the store that is open on it."""

    directory: Path
    store: SqliteStore | None = None

    async def opened(self) -> "Node":
        return replace(self, store=await open_sqlite(self.directory, WORKER, clock=lambda: NOON))

    async def accept(self, count: int, *, suffices: bool = True) -> None:
        """Take messages of an account and a credential with limits, with two recipients each."""
        for _ in range(count):
            message = submission(account=ACCOUNT, credential=APP)
            ways = [delivery(message, f"r{n}@y.example") for n in range(2)]
            spendings = [Spending(each, WORKER, NOON, 1, 2) for each in SUBJECTS]

            def job(transaction, message=message, ways=ways, spendings=spendings):
                transaction.add_deliveries(message, ways)
                transaction.spend(spendings)
                transaction.add_events([Event(EventKind.ACCEPTED, NOON, message.id)])

            envelope = envelope_of(message, ways, spendings, suffices=suffices)
            await self.store.write(job, (message.id, (OCTETS,)), envelope)

    async def deliver(self, count: int) -> None:
        leased = await self.store.write(lambda t: t.lease_due(NOON, lease(), limit=count))
        await self.store.write(lambda t: t.settle([settled(one) for one in leased]))

    async def counts(self) -> list[tuple[int, int]]:
        """Return messages and recipients of the account, then of the credential."""
        tallies = [await self.store.read(lambda r, s=each: r.tally(s)) for each in SUBJECTS]
        units, at = (Unit.MESSAGES, Unit.RECIPIENTS), NOON.timestamp() + 60
        return [tuple(each.used(unit, Window.HOUR, at) for unit in units) for each in tallies]

    def copied(self, to: Path) -> "Node":
        """Copy what stands on the disk, as after a kill, or after `close`."""
        shutil.copytree(self.directory, to)
        return Node(to)

    def repaired(self) -> Repair:
        """Repair without a journal."""
        journal = Journal(0, NOON + timedelta(minutes=1), lambda _: ())
        return repair(self.directory, self.directory / "damaged", journal, NOON)

    async def counts_there(self) -> list[tuple[int, int]]:
        opened = await self.opened()
        found = await opened.counts()
        await opened.store.close()
        return found


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    return await Node(tmp_path / "node").opened()


@pytest.mark.parametrize("suffices", [True, False])
async def test_what_was_in_a_log_that_is_lost_counts_again(
    node: Node, tmp_path: Path, *, suffices: bool
):
    await node.accept(5)
    copy_log_in(node.directory / DATABASE)
    await node.accept(3, suffices=suffices)
    assert await node.counts() == [(8, 16)] * 2
    killed = node.copied(tmp_path / "killed")
    (killed.directory / f"{DATABASE}-wal").unlink()
    assert await killed.copied(tmp_path / "looked-at").counts_there() == [(5, 10)] * 2
    assert killed.repaired().restored.messages == 3
    assert await killed.counts_there() == [(8, 16)] * 2
    await node.store.close()


async def test_all_that_comes_back_of_a_database_that_is_gone_counts(node: Node):
    await node.accept(4)
    await node.store.close()
    for path in node.directory.glob(f"{DATABASE}*"):
        path.unlink()
    assert node.repaired().restored.messages == 4
    assert await node.counts_there() == [(4, 8)] * 2


async def test_whose_row_alone_was_destroyed_counts_no_second_time(node: Node, tmp_path: Path):
    await node.accept(40)
    await node.deliver(20)
    await node.store.close()
    copy_log_in(node.directory / DATABASE)
    pages = (node.directory / DATABASE).stat().st_size // PAGE
    made_anew = 0
    for page in range(1, pages):
        torn = node.copied(tmp_path / f"page{page}")
        with (torn.directory / DATABASE).open("r+b") as file:
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)
        if torn.repaired().rows["submission"] < 40:
            made_anew += 1
            assert await torn.counts_there() == [(40, 80)] * 2, page
            if made_anew == 2:
                break
        shutil.rmtree(torn.directory)
    assert made_anew == 2
