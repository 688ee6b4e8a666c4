"""What a message costs does not depend on how many wait: counted in blocks that PostgreSQL touches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gatepost.model.delivery import Leased
from gatepost.model.lane import LANES
from gatepost.store.postgresql import PostgresStore
from gatepost.store.postgresql_sweep import Swept
from tests.store.makers import NOON, delivery, lease, settled, submission
from tests.store.openers import address_of, postgresql
from tests.store.test_flat import READS, WRITES, accept, fill
from tests.support.postgresql import shared_server

#: An index of ten times as many rows may be a level deeper: a block more of two or three at each look.
SLACK = 1.2
BLOCKS = 100
_TOUCHED = (
    "SELECT sum(coalesce(heap_blks_hit, 0) + coalesce(heap_blks_read, 0)"
    " + coalesce(idx_blks_hit, 0) + coalesce(idx_blks_read, 0)) FROM pg_statio_user_tables"
)


def told(work: Callable[[Any], object]) -> Callable[[Any], None]:
    """Have the server count what was done as soon as it is committed."""

    def job(asked: Any) -> None:
        work(asked)
        asked.rows("SELECT pg_stat_force_next_flush()")

    return job


class Blocks:
    """Counts the blocks that are touched while a store is at work."""

    def __init__(self, store: PostgresStore, other: psycopg.Connection[Any]) -> None:
        self.store = store
        self.other = other

    async def settle(self) -> None:
        """Tidy as autovacuum would, and have all be counted that was done so far."""
        self.other.execute("VACUUM ANALYZE")
        self.other.execute("SELECT pg_stat_force_next_flush()")
        await self.store.write(told(lambda _: None))
        await self.store.inspect(told(lambda _: None))

    def touched(self) -> int:
        self.other.execute("SELECT pg_stat_clear_snapshot()")
        ((count,),) = self.other.execute(_TOUCHED).fetchall()
        return int(count)

    async def of_write(self, work: Callable[[Any], object]) -> int:
        before = self.touched()
        await self.store.write(told(work))
        return self.touched() - before

    async def of_read(self, work: Callable[[Any], object]) -> int:
        before = self.touched()
        await self.store.inspect(told(work))
        return self.touched() - before


async def measure(store: PostgresStore, url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as other:
        blocks = Blocks(store, other)
        await blocks.settle()
        found = {name: await blocks.of_write(work) for name, work in WRITES.items()}
        return found | {name: await blocks.of_read(work) for name, work in READS.items()}


@pytest.fixture
async def store(tmp_path: Path):
    if int(shared_server().execute("SHOW server_version_num")[0][0]) < 150_000:
        pytest.skip("PostgreSQL 14 counts when it likes")
    opened: Any = await postgresql(tmp_path)
    yield opened
    await opened.close()


async def test_a_long_queue_costs_what_a_short_one_costs(store: Any, tmp_path: Path) -> None:
    url = address_of(tmp_path).url
    await fill(store, 3000)
    short = await measure(store, url)
    for _ in range(9):  # a job is not to take long
        await fill(store, 3000)
    long = await measure(store, url)
    dearer = {
        name: (before, long[name])
        for name, before in short.items()
        if long[name] > before * SLACK + BLOCKS
    }
    assert dearer == {}
    assert all(short.values())


async def test_what_others_have_leased_costs_nothing(store: Any, tmp_path: Path) -> None:
    """Also where the planner has not counted since, and believes that nothing is leased."""
    await fill(store, 6000)
    with psycopg.connect(address_of(tmp_path).url, autocommit=True) as other:
        blocks = Blocks(store, other)
        await blocks.settle()
        before = await blocks.of_write(accept)
        theirs = lease("node/2/0")
        taken: list[Leased] = []
        await blocks.of_write(lambda tx: taken.extend(tx.lease_due(NOON, theirs, limit=2000)))
        assert len(taken) == 2000
        after = await blocks.of_write(accept)
    assert after <= before * SLACK + BLOCKS


async def test_what_is_not_due_is_not_looked_at(store: Any, tmp_path: Path) -> None:
    """Also where the planner has not counted since, and believes that half of it is due."""
    await fill(store, 6000)
    with psycopg.connect(address_of(tmp_path).url, autocommit=True) as other:
        blocks = Blocks(store, other)
        await blocks.settle()
        other.execute("UPDATE delivery SET ready_at = ready_at + 600000000")
        other.execute("VACUUM")
        other.execute("SELECT pg_stat_force_next_flush()")
        found: list[Leased] = []

        def look(tx: Any) -> None:
            found.extend(tx.lease_due(NOON, lease(), limit=100))
            tx.strays("", NOON, received_before=NOON, limit=50)

        count = await blocks.of_write(look)
    assert found == []
    assert count <= BLOCKS


async def test_leases_that_have_ended_are_found_soon_while_somebody_reads_for_long(
    store: Any, tmp_path: Path
) -> None:
    """A dump keeps what is gone in the indexes: it is not gone through with each look."""
    url = address_of(tmp_path).url
    with psycopg.connect(url) as dump, psycopg.connect(url, autocommit=True) as other:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SELECT count(*) FROM delivery")
        blocks = Blocks(store, other)
        for _ in range(50):
            await blocks.of_write(accept_under_an_ended_lease)

        def look(tx: Any) -> None:
            within = dict.fromkeys(LANES, 50)
            assert tx.lease_ended(NOON, lease(), limit=50, within=within) == []

        first = await blocks.of_write(look)
        assert await blocks.of_write(look) <= min(first, BLOCKS)
        # What ends from then on is found.
        message = submission()
        await store.write(
            lambda tx: tx.add_deliveries(message, [delivery(message)], lease(minutes=-1))
        )
        found = await store.write(
            lambda tx: tx.lease_ended(NOON, lease(), limit=50, within=dict.fromkeys(LANES, 50))
        )
        assert len(found) == 1


def accept_under_an_ended_lease(transaction: Any) -> None:
    for _ in range(20):
        message = submission()
        leased = transaction.add_deliveries(message, [delivery(message)], lease(minutes=-2))
        transaction.settle(settled(one) for one in leased)


@pytest.mark.parametrize(
    ("steps", "floor"),
    [
        ([], 0),
        ([1000], 940),
        ([1000, 1200], 1140),
        # Everything is looked at anew, now and then, and when the clock was set back.
        ([1000, 1299], 1239),
        ([1000, 1301], 1241),
        ([1000, 400], 340),
    ],
)
def test_ended_leases_are_looked_for_since_none_was_left(steps: list[int], floor: int) -> None:
    swept, pools = Swept(), ("", "bulk")
    for at in steps:
        swept.floor(pools, at * 10**6)
        swept.is_clear(pools, at * 10**6)
    at = (steps or [1000])[-1] * 10**6
    assert swept.floor(pools, at) == floor * 10**6
    assert swept.floor(("",), at) == 0
    assert swept.floor(pools, at + 301 * 10**6) == 0
    swept.is_clear(pools, at + 301 * 10**6)
    assert swept.floor(pools, at - 10**6) == 0
