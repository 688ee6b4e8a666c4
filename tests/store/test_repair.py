"""A damaged database: what can be read of it is brought over, and nothing is lost unsaid."""

import shutil
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from gatepost.model.account import Account
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, WorkerId
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_place import CONTENT, DATABASE
from gatepost.store.sqlite_repair import repair
from gatepost.store.sqlite_restore import Journal
from gatepost.store.verify import verify
from tests.store.makers import CONTENT as OCTETS
from tests.store.makers import NOON, delivery, event, lease, settled, submission
from tests.support.write_ahead_log import copy_log_in

WORKER = WorkerId("node/1/0")
PAGE = 4096
#: No journal.
NOTHING = Journal(0, NOON, lambda _: ())
MESSAGES = 120


@pytest.fixture
async def healthy(tmp_path: Path) -> Path:
    """A state directory with a queue, accounts, finished mail and events; nobody uses it."""
    directory = tmp_path / "healthy"
    store = await open_sqlite(directory, WORKER, clock=lambda: NOON)

    def accounts(transaction):
        for number in range(40):
            name = AccountName(f"a{number:02}@example.com")
            transaction.put_account(Account(name, (f"a{number:02}@example.com",), NOON))

    await store.write(accounts)
    for number in range(MESSAGES):
        message = submission(message_id=f"<{number}@example.com>")
        ways = [
            delivery(message, f"r{number}@y.example"),
            delivery(message, f"s{number}@z.example"),
        ]

        def job(transaction, message=message, ways=ways):
            transaction.add_deliveries(message, ways)
            transaction.add_events([event(of=message, recipient=way.forward_path) for way in ways])

        await store.write(job, (message.id, (OCTETS,)))
    leased = await store.write(lambda t: t.lease_due(NOON, lease(), limit=60))
    await store.write(
        lambda t: t.settle([settled(one, DeliveryState.DELIVERED, events=()) for one in leased])
    )
    await store.close()
    copy_log_in(directory / DATABASE)
    return directory


def copy_of(healthy: Path, to: Path) -> Path:
    shutil.copytree(healthy, to)
    return to


async def queue(directory: Path) -> set[str]:
    store = await open_sqlite(directory, WORKER, clock=lambda: NOON)
    try:
        rows = await store.read(lambda reading: reading.deliveries(QueueFilter(), limit=1000))
        # Where content lies may be lost: such deliveries are held, and verify goes on saying so.
        faults = [fault for fault in await verify(store) if "its content is missing" not in fault]
        assert faults == []
        return {row.delivery.id for row in rows if row.delivery.state is DeliveryState.DUE}
    finally:
        await store.close()


async def test_a_database_that_is_whole_is_brought_over_whole(healthy: Path, tmp_path: Path):
    directory = copy_of(healthy, tmp_path / "state")
    done = repair(directory, directory / "damaged", NOTHING, NOON)
    assert (done.torn, done.lost) == ([], [])
    assert done.rows["account"] == 40
    assert done.rows["submission"] == MESSAGES
    assert await queue(directory) == await queue(copy_of(healthy, tmp_path / "other"))
    assert (directory / "damaged" / DATABASE).read_bytes() == (healthy / DATABASE).read_bytes()
    assert sorted(p.name for p in (directory / "damaged" / CONTENT).iterdir()) == sorted(
        p.name for p in (healthy / CONTENT).iterdir()
    )


async def test_any_page_may_be_lost(healthy: Path, tmp_path: Path):
    """Page by page: what comes out is whole, and a delivery that is missing was said to be, or
    stood on that page.
    """
    whole = await queue(copy_of(healthy, tmp_path / "whole"))
    octets = (healthy / DATABASE).read_bytes()
    least = len(whole)
    for page in range(len(octets) // PAGE):
        directory = copy_of(healthy, tmp_path / f"page{page}")
        with (directory / DATABASE).open("r+b") as file:
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)
        done = repair(directory, directory / "damaged", NOTHING, NOON)
        left = await queue(directory)
        assert left <= whole
        missing = whole - left
        if missing:
            assert done.torn, f"page {page}"
            stood = [m for m in missing if m.encode() in octets[page * PAGE : (page + 1) * PAGE]]
            said = [m for m in missing if any(m in words for words in done.lost)]
            assert len(set(stood) | set(said)) == len(missing), (
                f"page {page}: {len(missing)} unsaid"
            )
        least = min(least, len(left))
        shutil.rmtree(directory)
    print(f"\n{len(octets) // PAGE} pages, {len(whole)} deliveries; at worst {least} are left")


async def test_what_another_version_wrote_is_left_alone(healthy: Path, tmp_path: Path):
    directory = copy_of(healthy, tmp_path / "state")
    with apsw.Connection(str(directory / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 5")
    with pytest.raises(StoreUnavailableError, match="version 5"):
        repair(directory, directory / "damaged", NOTHING, NOON)


async def test_positions_of_events_are_not_given_out_again(healthy: Path, tmp_path: Path):
    directory = copy_of(healthy, tmp_path / "state")
    repair(directory, directory / "damaged", replace(NOTHING, last_position=10_000), NOON)
    store = await open_sqlite(directory, WORKER, clock=lambda: NOON)
    await store.write(lambda transaction: transaction.add_events([event()]))
    last = (await store.read(lambda reading: reading.events(after=10_000)))[-1]
    await store.close()
    assert last.position > 10_000
    assert last.event.kind is EventKind.DELIVERED
