"""kill -9 of a worker, the supervisor, the node, again and again, under a load of every kind: what
got 250 arrives, and twice only where nobody could know. CYCLES=200 for the long run (make soak).
"""

import os
import time

import pytest

from tests.crash.conftest import Rig

pytestmark = [pytest.mark.crash, pytest.mark.timeout(7200)]

#: Of eight cycles.
MIX = ["worker"] * 4 + ["supervisor"] * 2 + ["node"] * 2
#: A hand-over comes between every so many kills.
HAND_OVER = 10


@pytest.mark.rfc("5321#4.2.5")
@pytest.mark.rfc("5321#6.1")
def test_nothing_is_lost_in_so_many_cycles(mixed: Rig) -> None:
    rig, count = mixed, int(os.environ.get("CYCLES", "10"))
    cycles = (MIX * (count // len(MIX) + 1))[:count]
    rig.chance.shuffle(cycles)
    print(f"\n{count} kills under mixed load, CRASH_SEED={rig.seed}")
    rig.load.start()
    for number, what in enumerate(cycles, start=1):
        rig.load.wait_for(rig.chance.randint(20, 200), patience=120)
        time.sleep(rig.chance.uniform(0, 0.02))  # any moment between two replies
        if what == "worker":
            rig.wait_for_workers(rig.kill_worker(), patience=60)
        elif what == "supervisor":
            rig.kill_supervisor()
        else:
            rig.kill_node()
        if number % HAND_OVER == 0:
            rig.hand_over()
        if number % 20 == 0:
            print(f"  {number} kills, {rig.load.acknowledged} acknowledged", flush=True)
    rig.load.wait_for(20, patience=120)
    rig.settle_accounts()
