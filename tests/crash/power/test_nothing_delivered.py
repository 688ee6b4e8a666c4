"""The power goes while mail is accepted and nothing else is done: no other commit syncs its rows.

So they are on the disk up to a second after the 250, and segments have to tell of them (ADR 34); and whom
they count for.
"""

import random
from pathlib import Path

import apsw
import pytest

from tests.crash import processes
from tests.crash.load import Load
from tests.crash.power.conftest import Power
from tests.crash.power.loss import KEEPS
from tests.support.node import Node, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

HOLD_ALL = """
[[routes]]
match = ["*"]
via = "hold"
"""
LOSSES = 6


def told_of(node: Node, table: str, condition: str = "1") -> set[str]:
    """Return the messages that a table tells of; of a daily one all days."""
    connection = apsw.Connection(str(node.directory / "state" / "gatepost.db"))
    try:
        names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?"
        found: set[str] = set()
        for (name,) in connection.execute(names, (table,)).fetchall():
            sql = f"SELECT submission_id FROM {name} WHERE {condition}"
            found.update(row[0] for row in connection.execute(sql))
        return found
    finally:
        connection.close()


@pytest.mark.rfc("5321#4.2.5")
def test_what_was_accepted_and_not_yet_synced_comes_back(
    power: Power, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    print(f"\npower losses while mail is only accepted, CRASH_SEED={seed}")
    node = Node(tmp_path / "node", HOLD_ALL, 2)
    node.set_up()
    for name, value in power.environment().items():
        monkeypatch.setenv(name, value)
    node.start()
    node.run("account", "limit", node.account, "--hourly", "100000")
    load = Load(node, seed)
    try:
        load.start()
        for number in range(LOSSES):
            load.wait_for(chance.randint(50, 300))
            workers = processes.children(node.process.pid)
            node.kill()
            wait_until(lambda pids=workers: not any(map(processes.is_alive, pids)), "its end")
            power.lose(chance, KEEPS[number % len(KEEPS)])
            if number % 2:  # who looks before it serves sees what there is
                got = {name for sent in load.sent for name in sent.submissions}
                rows = node.json("queue", "list", "--limit", "100000")
                assert got - {row["message"] for row in rows} == set()
            node.start()
        load.stop()
        acknowledged = {name for sent in load.sent for name in sent.submissions}
        there = told_of(node, "delivery")
        restored = told_of(node, "event_*", "kind = 'delivery.restored'")
        print(f"  {len(acknowledged)} acknowledged, {len(restored)} brought back")
        assert acknowledged - there == set()
        assert node.json("queue", "verify") == []
        assert restored
        (limit,) = node.json("account", "limit", node.account)
        assert limit["used"] == len(there)
    finally:
        load.abandon()
        node.stop()
