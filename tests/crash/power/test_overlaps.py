"""Batches of two workers that overlap: killed at any step and the power lost, or a step fails.

What one has committed and not yet synced the other sees, the journal may tell of it, and segments may
go because of it: none of that may last longer than what it rests on.
"""

import errno
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatepost.model.ids import WorkerId
from gatepost.operate.repair import is_behind
from gatepost.store.sqlite import open_sqlite
from tests.crash.power.a_crowd import CLIENTS, MESSAGES
from tests.crash.power.conftest import Power
from tests.crash.power.loss import KEEPS
from tests.crash.power.test_every_step import Life, Told, after, chosen, life, somewhere

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1800)]

#: Nanoseconds that a sync lasts: long enough for another thread to take it over.
SLOW = "2000000"


def crowd(power: Power, **more: str) -> Life:
    return life(power, "", module="a_crowd", POWERLOG_SYNC_NS=SLOW, **more)


def steps_of_a_crowd(power: Power) -> int:
    """Count them, once; they are never quite the same."""
    counted = power.log / "count"
    done = crowd(power, POWERLOG_COUNT=str(counted))
    assert done.returncode == 0, done.stderr
    return int(counted.read_text())


async def told_too_much(directory: Path) -> bool:
    store = await open_sqlite(directory, WorkerId("node/9/9/"))
    try:
        return await is_behind(store, directory)
    finally:
        await store.close()


async def test_killed_amid_overlapping_batches_and_the_power_lost(power: Power, seed: int) -> None:
    count = steps_of_a_crowd(power)
    steps = chosen(count, seed)

    def end_at(first: int) -> tuple[int, Power, Life]:
        """End a life at a step; where it is over before, as two that share more batches are, earlier."""
        step = first
        while True:
            place = somewhere(power, f"kill-{first}-{step}")
            done = crowd(place, POWERLOG_END_AT=str(step))
            if done.returncode or step == 1:
                break
            step = step * 3 // 4
        place.lose(random.Random(seed + step), KEEPS[step % len(KEEPS)])
        return step, place, done

    faults: list[str] = []
    killed = accepted = 0
    with ThreadPoolExecutor(2) as pool:
        for step, place, done in pool.map(end_at, steps):
            killed += done.returncode == -9
            told = Told.by(done.stdout.splitlines())
            accepted += len(told.accepted)
            if await told_too_much(place.below):
                faults.append(f"killed at step {step}: journal or segments know more")
            faults += await after(place, told, f"killed at step {step}")
    print(f"\nkilled at {killed} of {count} steps, {accepted} accepted, CRASH_SEED={seed}")
    assert killed == len(steps)
    assert accepted
    assert faults == []


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
async def test_a_step_fails_amid_overlapping_batches(power: Power, seed: int, error: str) -> None:
    steps = chosen(steps_of_a_crowd(power), seed + 1)

    def fail_at(step: int) -> tuple[int, Power, Life]:
        place = somewhere(power, f"fail-{step}")
        code = str(getattr(errno, error))
        return step, place, crowd(place, POWERLOG_FAIL_AT=str(step), POWERLOG_ERROR=code)

    faults: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for step, place, done in pool.map(fail_at, steps):
            if done.returncode:
                faults.append(f"step {step} failed, and life ended: {done.stderr[-800:]}")
                continue
            told = Told.by(done.stdout.splitlines())
            assert len(told.accepted) == 2 * CLIENTS * MESSAGES
            faults += await after(place, told, f"{error} at step {step}")
    assert faults == []
