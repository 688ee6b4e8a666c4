"""Every step of accept, lease, attempt, settle, return: killed there, or failing there.

Whatever was said to be durable is there after the power was lost, every outcome has its event and
every event its outcome, and the next process brings all of it to its end, once.
"""

import errno
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import DeliveryId, SubmissionId, WorkerId
from gatepost.store.protocols import Reading, StoreUnavailableError
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import open_sqlite
from gatepost.store.verify import verify
from tests.crash.power.a_life import run
from tests.crash.power.conftest import Power
from tests.crash.power.loss import KEEPS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[3]
#: So many of the steps are tried; all of them where EVERY_STEP=1 is set.
SOME = 24
OUTCOMES = {EventKind.DELIVERED, EventKind.REFUSED}


@dataclass(frozen=True, slots=True)
class Told:
    """What a life said before it ended."""

    accepted: dict[SubmissionId, list[DeliveryId]]
    attempted: Counter[DeliveryId]
    settled: set[DeliveryId]

    @classmethod
    def by(cls, lines: Sequence[str]) -> "Told":
        words = [line.split() for line in lines]
        return cls(
            {
                SubmissionId(w[1]): [DeliveryId(d) for d in w[2:]]
                for w in words
                if w[0] == "accepted"
            },
            Counter(DeliveryId(w[1]) for w in words if w[0] == "attempted"),
            {DeliveryId(w[1]) for w in words if w[0] == "settled"},
        )


Life: TypeAlias = "subprocess.CompletedProcess[str]"


def life(power: Power, verb: str, *, module: str = "a_life", **more: str) -> Life:
    """Run a life; its syncs take no time."""
    environment = power.environment() if more else {}
    path = {"PYTHONPATH": f"{ROOT}/src:{ROOT}", "POWERLOG_SYNC_NS": "0"}
    return subprocess.run(
        [sys.executable, "-m", f"tests.crash.power.{module}", *verb.split(), str(power.below)],
        cwd=ROOT, env={**environment, **path, **more}, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip


def steps_of_a_life(power: Power) -> int:
    counted = power.log / "count"
    done = life(power, "live", POWERLOG_COUNT=str(counted))
    assert done.returncode == 0, done.stderr
    return int(counted.read_text())


def chosen(count: int, seed: int) -> list[int]:
    steps = range(1, count + 1)
    if os.environ.get("EVERY_STEP") == "1":
        return list(steps)
    return sorted(random.Random(seed).sample(steps, min(SOME, count)))


def somewhere(power: Power, name: str) -> Power:
    """Return a place of its own, with the same shim."""
    top = power.below.parent.parent / name
    made = Power(top / "state", top / "log", power.shim)
    made.below.mkdir(parents=True)
    (made.log / "kept").mkdir(parents=True)
    return made


async def judge(directory: Path, told: Told, *, is_over: bool) -> list[str]:
    """Return what is wrong with the state that a life left."""
    store = await open_sqlite(directory, WorkerId("node/9/9/"))
    try:
        await store.recover()
        faults = list(await verify(store))
        return faults + await store.read(lambda r: _compare(r, told, is_over=is_over))
    finally:
        await store.close()


def _compare(reading: Reading, told: Told, *, is_over: bool) -> list[str]:
    faults = []
    outcomes = Counter(
        stored.event.delivery_id
        for stored in reading.events(limit=10_000)
        if stored.event.kind in OUTCOMES
    )
    returned = Counter(
        stored.event.delivery_id
        for stored in reading.events(limit=10_000)
        if stored.event.kind is EventKind.RETURNED
    )
    for message, ways in told.accepted.items():
        if reading.submission(message) is None:
            faults.append(f"lost: {message} was accepted")
            continue
        rows = {
            r.delivery.id: r.delivery for r in reading.deliveries(QueueFilter(id=message), limit=10)
        }
        faults += [f"lost: delivery {way}" for way in ways if way not in rows]
        for way, row in rows.items():
            if row.attempts < told.attempted[way]:
                faults.append(f"{way} was attempted, and that is forgotten")
            if way in told.settled and not row.state.is_final:
                faults.append(f"{way} was settled, and is {row.state}")
            if outcomes[way] != row.state.is_final:
                faults.append(f"{way} is {row.state}, with {outcomes[way]} outcomes told")
            if is_over and not row.state.is_final:
                faults.append(f"{way} never came to its end: {row.state}")
            if is_over and returned[way] != (row.state is DeliveryState.REFUSED):
                faults.append(f"{way} is {row.state}, and was returned {returned[way]} times")
        if is_over and reading.content(message) is not None:
            faults.append(f"content of {message} is still there")
    return faults


async def after(power: Power, told: Told, where: str) -> list[str]:
    """Judge what is left, bring it to its end as the next process does, judge again."""
    faults = await judge(power.below, told, is_over=False)
    try:
        await run("finish", power.below)
    except (StoreUnavailableError, AssertionError) as trouble:
        faults.append(f"the next one failed: {trouble}")
    faults += await judge(power.below, told, is_over=True)
    return [f"{where}: {fault}" for fault in faults]


async def test_killed_at_any_step_and_the_power_lost(power: Power, seed: int) -> None:
    count = steps_of_a_life(power)
    steps = chosen(count, seed)

    def end_at(step: int) -> tuple[int, Power, Life]:
        place = somewhere(power, f"kill-{step}")
        done = life(place, "live", POWERLOG_END_AT=str(step))
        place.lose(random.Random(seed + step), KEEPS[step % len(KEEPS)])
        return step, place, done

    faults: list[str] = []
    killed = 0
    with ThreadPoolExecutor(2) as pool:
        for step, place, done in pool.map(end_at, steps):
            killed += done.returncode == -9
            told = Told.by(done.stdout.splitlines())
            faults += await after(place, told, f"killed at step {step}")
    print(f"\nkilled at {killed} of {count} steps, CRASH_SEED={seed}")
    assert killed >= 0.9 * len(steps)
    assert faults == []


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
async def test_any_step_may_fail_and_life_goes_on(power: Power, seed: int, error: str) -> None:
    count = steps_of_a_life(power)
    steps = chosen(count, seed + 1)

    def fail_at(step: int) -> tuple[int, Power, Life]:
        place = somewhere(power, f"fail-{step}")
        code = str(getattr(errno, error))
        return step, place, life(place, "live", POWERLOG_FAIL_AT=str(step), POWERLOG_ERROR=code)

    faults: list[str] = []
    put_off = 0
    with ThreadPoolExecutor(2) as pool:
        for step, place, done in pool.map(fail_at, steps):
            put_off += "put-off" in done.stdout
            if done.returncode:
                faults.append(f"step {step} failed, and life ended: {done.stderr[-800:]}")
            told = Told.by(done.stdout.splitlines())
            if done.returncode == 0:
                assert len(told.accepted) == 2
            faults += await after(place, told, f"{error} at step {step}")
    print(f"\n{error} at {len(steps)} of {count} steps, {put_off} were told to the caller")
    assert faults == []
    assert put_off
