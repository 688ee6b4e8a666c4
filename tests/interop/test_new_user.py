"""A walk as a new user: a domain is added, published, found good, sends, and is believed.

NSD serves the zone, made of nothing but what `domain add` printed; Rspamd is the receiver.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.node import CAPTURE_ALL, HOST, Node, wait_until
from tests.support.rspamd import Rspamd, rspamd
from tests.support.zone_servers import Nsd, nsd

pytestmark = pytest.mark.interop("nsd", "rspamd")

PASSWORD = "correct horse"


@dataclass(frozen=True, slots=True)
class World:
    """What serves the zone, and a receiver that asks it."""

    dns: Nsd
    receiver: Rspamd


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        nsd(tmp_path_factory.mktemp("dns"), {"example.com": f"relay A {HOST}\n"}) as dns,
        rspamd(tmp_path_factory.mktemp("rspamd"), dns.port) as receiver,
    ):
        yield World(dns, receiver)


@pytest.fixture
def node(tmp_path: Path, world: World) -> Iterator[Node]:
    made = Node(tmp_path / "node", f'{CAPTURE_ALL}[dns]\nresolvers = ["{HOST}:{world.dns.port}"]\n')
    made.set_up()
    made.config.write_text(made.config.read_text().replace("relay.test", "relay.example.com"))
    made.start()
    yield made
    made.stop()


@pytest.mark.rfc("6376#5")
def test_a_new_domain_is_believed(node: Node, world: World) -> None:
    added = json.loads(node.run("domain", "add", "example.com", "--json").stdout)
    before = node.run("domain", "check", "example.com", "--json", check=False)
    assert before.returncode == 1
    missing = [f for f in json.loads(before.stdout) if f["standing"] == "missing"]
    assert {f["purpose"] for f in missing} == {"SPF", "DKIM", "DMARC"}
    assert all(f["mend"].startswith("publish at ") for f in missing)

    world.dns.publish("example.com", added["zone"])
    wait_until(
        lambda: node.run("domain", "check", "example.com", check=False).returncode == 0,
        "domain check turns green",
    )
    assert node.json("domain", "show", "example.com")["last_look"]["health"] == "good"

    node.run(
        "send", "--server", f"{HOST}:{node.ports.submission}", "--from", "app@example.com",
        "--to", "you@elsewhere.example", "--user", node.account, "--password-stdin",
        stdin=node.password + "\n",
    )  # fmt: skip
    wait_until(lambda: len(node.captured()) == 1, "the message is on its way")
    content = node.content(node.captured()[0])
    found = world.receiver.symbols(
        content, Ip=HOST, Helo="relay.example.com", From="app@example.com",
        Rcpt="you@elsewhere.example",
    )  # fmt: skip
    selectors = {key["selector"] for key in added["keys"]}
    assert "R_SPF_ALLOW" in found
    assert {o.partition(":s=")[2] for o in found["R_DKIM_ALLOW"]["options"]} == selectors
    assert found["DMARC_POLICY_ALLOW"]["options"][0] == "example.com"

    spoilt = content.replace(b"Subject: ", b"Subject: not ")
    found = world.receiver.symbols(spoilt, Ip="192.0.2.9", Helo="evil.example", From="x@y.example")
    assert "R_DKIM_REJECT" in found
    assert "DMARC_POLICY_ALLOW" not in found
