"""What a message costs does not depend on how many wait: counted in blocks that PostgreSQL touches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gatepost.store.postgresql import PostgresStore
from tests.store.openers import address_of, postgresql
from tests.store.test_flat import READS, WRITES, fill
from tests.support.postgresql import shared_server

#: An index of ten times as many rows is a level deeper: a block more of two or three at each look.
SLACK = 1.4
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


async def measure(store: PostgresStore, url: str) -> dict[str, int]:
    found = {}
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("VACUUM ANALYZE")  # as autovacuum would
        await store.write(told(lambda _: None))  # what is to be counted still
        await store.inspect(told(lambda _: None))

        def touched() -> int:
            other.execute("SELECT pg_stat_clear_snapshot()")
            ((count,),) = other.execute(_TOUCHED).fetchall()
            return int(count)

        for name, work in WRITES.items():
            before = touched()
            await store.write(told(work))
            found[name] = touched() - before
        for name, work in READS.items():
            before = touched()
            await store.inspect(told(work))
            found[name] = touched() - before
    return found


async def test_a_long_queue_costs_what_a_short_one_costs(tmp_path: Path) -> None:
    if int(shared_server().execute("SHOW server_version_num")[0][0]) < 150_000:
        pytest.skip("PostgreSQL 14 counts when it likes")
    store: Any = await postgresql(tmp_path)
    url = address_of(tmp_path).url
    try:
        await fill(store, 3000)
        short = await measure(store, url)
        for _ in range(9):  # a job is not to take long
            await fill(store, 3000)
        long = await measure(store, url)
    finally:
        await store.close()
    dearer = {
        name: (before, long[name])
        for name, before in short.items()
        if long[name] > before * SLACK + BLOCKS
    }
    assert dearer == {}
    assert all(short.values())
