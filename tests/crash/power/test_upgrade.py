"""Killed at any step of an upgrade, and the power lost: the old database is there or the new one."""

import random
from concurrent.futures import ThreadPoolExecutor

import apsw
import pytest

from gatepost.model.ids import WorkerId
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_schema import VERSIONS
from gatepost.store.verify import verify
from tests.crash.power.conftest import Power
from tests.crash.power.loss import KEEPS
from tests.crash.power.test_every_step import chosen, life, somewhere
from tests.store.old_databases import changed, load

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

#: One that renames a column, rebuilds an index and changes tables of days on its way.
OLD = 11


async def test_an_upgrade_is_whole_or_has_not_been(power: Power, seed: int) -> None:
    load(OLD, power.below)
    counted = power.log / "count"
    done = life(power, "upgrade", POWERLOG_COUNT=str(counted))
    assert done.returncode == 0, done.stderr
    count = int(counted.read_text())
    steps = sorted({1, count, *chosen(count, seed)})

    def end_at(step: int) -> tuple[int, Power]:
        place = somewhere(power, f"upgrade-{step}")
        load(OLD, place.below)
        life(place, "upgrade", POWERLOG_END_AT=str(step))
        place.lose(random.Random(seed + step), KEEPS[step % len(KEEPS)])
        return step, place

    found = set()
    with ThreadPoolExecutor(2) as pool:
        for step, place in pool.map(end_at, steps):
            connection = apsw.Connection(str(place.below / "gatepost.db"))
            found.add(connection.pragma("user_version"))
            connection.close()
            assert changed(OLD, place.below) == [], step
            store = await open_sqlite(place.below, WorkerId("node/9/9/"))
            assert await verify(store) == [], step
            await store.close()
            assert changed(OLD, place.below) == [], step
    print(f"\nkilled at {len(steps)} of {count} steps of an upgrade, CRASH_SEED={seed}")
    assert found == {OLD, len(VERSIONS)}
