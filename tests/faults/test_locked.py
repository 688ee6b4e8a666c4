"""The store in the hands of another process: clients are put off in time, and it goes on by itself."""

import time

import apsw
import pytest

from tests.faults.conftest import Scene

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

AWAY = "451 4.3.0 "
#: Seconds until a caller of the store is told that it is away, and some to spare.
DEADLINE = 40.0


def test_a_foreign_transaction_holds_the_database(scene: Scene) -> None:
    scene.node.set_up()
    scene.node.start()
    talk = scene.session()
    assert scene.send(talk).startswith("250")
    foreign = apsw.Connection(str(scene.node.data_dir / "gatepost.db"))
    foreign.set_busy_timeout(30_000)  # the delivery of that message is written just now
    foreign.execute("BEGIN IMMEDIATE")
    talk.socket.settimeout(DEADLINE)
    asked = time.monotonic()
    assert scene.send(talk).startswith(AWAY)
    print(f"\nafter {time.monotonic() - asked:.1f} s: {AWAY}")
    foreign.execute("ROLLBACK")
    scene.send_until(talk, "250")
    scene.wait_until_arrived()
    assert scene.node.json("queue", "verify") == []
