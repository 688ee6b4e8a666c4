"""A worker that cannot start is tried again ever more seldom, and does not spin."""

import os
import re
import signal
import time

import apsw
import pytest

from tests.crash import processes
from tests.crash.conftest import Rig
from tests.support.node import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

PAUSE = re.compile(r"restarting in ([0-9.]+) s")
#: Births that fail before the cause is mended.
FAILURES = 5


def test_pauses_grow_until_the_cause_is_gone(rig: Rig) -> None:
    supervisor = rig.node.process
    assert supervisor is not None
    path = rig.node.data_dir / "gatepost.db"
    wait_until(
        lambda: [processes.has_open(pid, path) for pid in rig.workers()] == [True, True],
        "two workers at work",
    )
    database = apsw.Connection(str(path))
    database.set_busy_timeout(10_000)
    version = database.pragma("user_version")
    ((oldest,),) = database.execute("SELECT value FROM schema_mark WHERE name = 'oldest'")
    _leave_marks(database, 10_000, 10_000)  # as a newer Gatepost would
    began, cpu_before = time.monotonic(), processes.cpu_seconds(supervisor.pid)
    os.kill(rig.workers()[0], signal.SIGKILL)
    wait_until(lambda: len(_pauses(rig)) >= FAILURES, f"{FAILURES} failures")
    elapsed = time.monotonic() - began
    cpu = processes.cpu_seconds(supervisor.pid) - cpu_before
    pauses = _pauses(rig)
    print(f"\n  pauses {pauses} s; {cpu:.2f} s of CPU in {elapsed:.1f} s")
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 8 * pauses[0]
    assert elapsed >= sum(pauses[:-1])
    assert len(rig.workers()) == 1, "the other worker goes on"
    _leave_marks(database, version, oldest)
    database.close()
    wait_until(lambda: len(rig.workers()) == 2, "a worker again")
    rig.load.start()
    rig.load.wait_for(50)
    rig.settle_accounts()


def _leave_marks(database: apsw.Connection, version: int, oldest: int) -> None:
    with database:
        database.pragma("user_version", version)
        database.execute("UPDATE schema_mark SET value = ? WHERE name = 'oldest'", (oldest,))


def _pauses(rig: Rig) -> list[float]:
    return [float(pause) for pause in PAUSE.findall(rig.node.log.read_text())]
