"""kill -9 under load: every message that got 250 arrives, and none twice without a cause."""

import time

import pytest

from tests.crash.conftest import Rig
from tests.support.node import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

CYCLES = ["worker"] * 13 + ["node"] * 7


@pytest.mark.rfc("5321#4.2.5")
@pytest.mark.rfc("5321#6.1")
def test_twenty_kills_lose_nothing(rig: Rig) -> None:
    cycles = list(CYCLES)
    rig.chance.shuffle(cycles)
    print(f"\nkill -9 under load, CRASH_SEED={rig.seed}")
    rig.load.start()
    for number, what in enumerate(cycles):
        if number == len(cycles) // 2:
            _ill_tempered_sink(rig)
        rig.load.wait_for(rig.chance.randint(20, 200))
        time.sleep(
            rig.chance.uniform(0, 0.02)
        )  # any moment between two replies, not just after one
        if what == "worker":
            rig.wait_for_workers(rig.kill_worker())
        else:
            rig.kill_node()
        # Whoever was born last serves, too.
        rig.load.wait_for(20)
    found = rig.settle_accounts()
    assert not found.counts["put off at the greeting (421)"]


def _ill_tempered_sink(rig: Rig) -> None:
    """A next hop that drops connections in content and after the final dot, and is killed."""

    def has_dropped() -> bool:
        arrivals = rig.sink.arrivals()
        dropped = sum(copy.answer == "dropped" for copy in arrivals.copies)
        return arrivals.cut >= 10 and dropped >= 10

    rig.kill_sink(cut_every=7, drop_every=9)
    wait_until(has_dropped, "20 dropped connections")
    rig.load.wait_for(20)
    rig.kill_sink()
