"""Three nodes with clocks that disagree, under load: killed, paused, cut off from the database."""

import random
import secrets
from pathlib import Path

import pytest

from tests.crash.nodes.cluster import Cluster, Spender, cluster, database
from tests.crash.nodes.network import network

pytestmark = [
    pytest.mark.crash,
    pytest.mark.alone,
    pytest.mark.interop("ip", "cc"),
    pytest.mark.timeout(600),
]

#: By how many seconds the clocks are ahead.
SKEWS = (0, 2400, -2400)
#: Messages per hour of the limited account: less than its clients try to send.
LIMIT = 150
#: Clients of that account.
CLIENTS = 3


def test_three_nodes_lose_nothing_whatever_happens_to_two(tmp_path: Path, seed: int) -> None:
    print(f"\nchaos over three nodes, CRASH_SEED={seed}")
    chance = random.Random(seed)
    with (
        network(3) as net,
        database(net) as server,
        cluster(tmp_path, net, server, skews=SKEWS, seed=seed) as rig,
    ):
        spender = _limited(rig)
        rig.load.start()
        spender.start(CLIENTS)
        rig.load.wait_for(100)
        assert set(rig.listed(rig.nodes[0]).values()) == {"alive"}

        one, two, three = chance.sample(rig.nodes, 3)
        rig.say(f"{rig.machine(one).name} is killed")
        rig.kill(one)
        rig.wait_until_state(one, "lost", by=two)
        rig.load.wait_for(100)
        rig.say("it starts again")
        one.start()
        rig.wait_until_state(one, "alive", by=two)

        rig.say(f"{rig.machine(two).name} is paused, {rig.machine(three).name} cut off")
        rig.pause(two)
        rig.cut(three)
        rig.wait_until_state(two, "lost", by=one)
        rig.wait_until_state(three, "lost", by=one)
        rig.load.wait_for(50)
        rig.say("both come back")
        rig.resume(two)
        rig.mend(three)
        rig.wait_until_state(two, "alive", by=one)
        rig.wait_until_state(three, "alive", by=one)
        rig.load.wait_for(100)

        rig.say("the load ends")
        found = rig.settle_accounts(spender)
        found.counts["limited account: limit"] = LIMIT
        rig.say("the queue is empty")
        print(found.report())
        assert not found.faults, "\n".join(found.faults[:20])
        assert found.counts["limited account: arrived"] <= LIMIT
        assert spender.refused


def _limited(rig: Cluster) -> Spender:
    node, name, password = rig.nodes[0], "limited@example.com", secrets.token_hex(8)
    words = ("account", "add", name, "--password-stdin", "--hourly", str(LIMIT))
    node.run(*words, stdin=f"{password}\n")
    return Spender(rig.nodes, name, password, node.trust())
