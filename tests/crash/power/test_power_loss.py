"""The power goes under load: every message that got 250 is delivered, whatever the disk kept."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import processes
from tests.crash.conftest import SETTINGS, WORKERS, Rig, SinkProcess
from tests.crash.ledger import Kill
from tests.crash.load import Load
from tests.crash.power.conftest import Power
from tests.crash.power.loss import KEEPS, Keep, Lost, nothing
from tests.support.node import CAPTURE_ALL, Node, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

#: How often the power goes.
LOSSES = 12


@pytest.fixture
def watched(
    power: Power, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rig]:
    """A node whose every change of its state is noted, between a load and a sink."""
    sink = SinkProcess(tmp_path / "journal")
    sink.start()
    node = Node(tmp_path / "node", SETTINGS.format(port=sink.port), WORKERS)
    node.set_up()
    for name, value in power.environment().items():
        monkeypatch.setenv(name, value)
    load = None
    try:
        node.start()
        load = Load(node, seed)
        yield Rig(node, sink, load, seed, random.Random(seed))
    finally:
        if load is not None:
            load.abandon()
        node.stop()
        sink.kill()


def lose_power(rig: Rig, power: Power, keep: Keep) -> Lost:
    """Stop everything at once, lose what the disk had not, and start anew."""
    workers = rig.workers()
    rig.goes_away()
    rig.kills.append(Kill("node", time.monotonic()))
    rig.node.kill()
    wait_until(lambda: not any(map(processes.is_alive, workers)), "the node's end")
    lost = power.lose(rig.chance, keep)
    rig.restart()
    return lost


@pytest.mark.rfc("5321#4.2.5")
@pytest.mark.rfc("5321#6.1")
def test_power_losses_under_load_lose_no_message(watched: Rig, power: Power) -> None:
    rig = watched
    print(f"\npower losses under load, CRASH_SEED={rig.seed}")
    rig.load.start()
    total = Lost()
    for number in range(LOSSES):
        rig.load.wait_for(rig.chance.randint(20, 150))
        keep = KEEPS[number % len(KEEPS)]
        lost = lose_power(rig, power, keep)
        total.changes += lost.changes
        total.names += lost.names
        total.octets += lost.octets
        assert rig.node.json("queue", "verify") == [], keep.__name__
    print(f"  lost: {total.changes} changes of {total.octets} octets, {total.names} of names")
    assert total.changes, "the power was lost at no bad moment"
    rig.settle_accounts()


def test_with_syncs_that_lie_mail_is_lost_and_this_test_would_tell(
    power: Power, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "node", CAPTURE_ALL, 1)
    node.set_up()
    for name, value in power.environment(lie=True).items():
        monkeypatch.setenv(name, value)
    node.start()
    try:
        load = Load(node, 1, clients=1)
        load.start()
        load.wait_for(1)
        load.stop()
        wait_until(lambda: len(node.captured()) == load.acknowledged, "all captured")
        node.kill()
        power.lose(random.Random(1), nothing)
        node.start()
        assert not node.captured()
    finally:
        node.stop()
