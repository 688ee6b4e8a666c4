"""Mail leaves from the node that has its source address: one node, and two over one PostgreSQL."""

import asyncio
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.sink import HANG, Sink
from tests.support.node import HOST, Node, wait_until
from tests.support.ports import free_ports
from tests.support.postgresql import database_of
from tests.support.two_nodes import two_nodes

FIRST = """
[[egress]]
name = "first.example"
ipv4 = "127.0.0.21"
pools = ["default", "news"]
"""
SECOND = """
[[egress]]
name = "second.example"
ipv4 = "127.0.0.22"
pools = ["bulk", "news"]
"""
#: 192.0.2.0/24 is nobody's (RFC 5737).
MISSING = """
[[egress]]
name = "missing.example"
ipv4 = "192.0.2.77"
pools = ["gone"]
"""


def route(sink: Sink) -> str:
    return f"""
[[routes]]
match = ["*"]
via = "smtp:{sink.host}:{sink.port}"
"""


async def off(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do what blocks beside the sink."""
    return await asyncio.to_thread(work, *arguments)


def send(node: Node, recipient: str) -> None:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=60) as client:
        client.starttls(context=node.trust())
        client.login(node.account, node.password)
        letter = f"From: {node.account}\r\nSubject: hello\r\n\r\nTo {recipient}.\r\n"
        client.sendmail(node.account, [recipient], letter)


async def arrival(sink: Sink, recipient: str) -> tuple[str, str]:
    """Wait for a message; return from where it came, and the name in EHLO."""
    await sink.until(lambda: any(recipient in m.forward_paths for m in sink.messages), 90)
    message = next(m for m in sink.messages if recipient in m.forward_paths)
    return sink.peers[message.session], sink.commands[message.session][0]


def why(node: Node, recipient: str) -> str:
    (row,) = node.json("queue", "list", "--recipient", recipient)
    return str(row["reason"])


def state(node: Node, address: str) -> str:
    rows = {row["address"]: row["state"] for row in node.json("egress", "list")}
    return str(rows[address])


async def test_pause_resume_and_an_address_that_is_missing(tmp_path: Path) -> None:
    async with Sink() as sink:
        (http,) = free_ports(1)
        watched = f'[http]\naddress = "{HOST}:{http}"\n'
        node = Node(tmp_path, watched + FIRST + MISSING + route(sink), workers=2)
        await off(node.set_up)
        try:
            await off(node.start)
            await off(send, node, "one@y.example")
            assert await arrival(sink, "one@y.example") == ("127.0.0.21", "EHLO first.example")
            await off(node.run, "egress", "pause", "127.0.0.21", "--reason", "listed")
            await off(node.restart)  # a pause survives it, and all workers know it then
            await off(send, node, "two@y.example")
            assert await off(why, node, "two@y.example") == (
                "no source address of pool default may be used: 127.0.0.21 is paused (listed)"
            )
            checked = await off(lambda: node.run("check", check=False).stdout)
            assert "warn  pool default: mail waits: no source address of pool default" in checked
            assert await off(state, node, "127.0.0.21") == "paused"
            await off(node.run, "egress", "resume", "127.0.0.21")
            assert (await arrival(sink, "two@y.example"))[0] == "127.0.0.21"
            await off(wait_until, lambda: _left_from(node, "127.0.0.21"), "the outcome")
            told = await off(node.run, "account", "pool", node.account, "nwes")
            assert (
                "no node that runs has an address of pool nwes: its mail will wait" in told.stderr
            )
            await off(node.run, "account", "pool", node.account, "gone")
            await off(wait_until, lambda: _waits_for_gone(node), "mail in the pool")
            assert await off(state, node, "192.0.2.77") == "absent"
            log = node.log.read_text()
            assert log.count("192.0.2.77 is not an address of this machine") == 2, "once a program"
            metrics = await off(_metrics, http)
            wanted = 'gatepost_source_attempts_total{source="127.0.0.21",outcome="delivered"} '
            assert sum(int(m.removeprefix(wanted)) for m in metrics if m.startswith(wanted)) >= 1
            assert 'gatepost_source_usable{source="127.0.0.21"} 1' in metrics
            assert 'gatepost_source_usable{source="192.0.2.77"} 0' in metrics
            delivered = "gatepost_deliveries_delivered_total "
            assert any(m.startswith(delivered) and not m.endswith(" 0") for m in metrics)
            assert [len(m.forward_paths) for m in sink.messages] == [1] * len(sink.messages)
        finally:
            await off(node.stop)


def _left_from(node: Node, address: str) -> bool:
    return f"from {address}" in node.run("trace", "two@y.example").stdout


def _metrics(port: int) -> list[str]:
    with urlopen(f"http://{HOST}:{port}/metrics", timeout=60) as answer:
        return answer.read().decode().splitlines()


def _waits_for_gone(node: Node) -> bool:
    send(node, "three@y.example")
    rows = node.json("queue", "list", "--recipient", "three@y.example")
    return any(
        row["reason"].startswith("no source address of pool gone may be used: 192.0.2.77")
        and row["attempts"] == 0
        for row in rows
    )


async def test_two_nodes_send_what_is_theirs_and_one_that_is_killed_leaves_its_mail(
    tmp_path: Path,
) -> None:
    async with Sink() as sink:
        # What is for "slow" hangs in the greeting: it is in a node's hands when that is killed.
        url = await off(database_of, tmp_path)
        first, second = await off(two_nodes, tmp_path, url, FIRST + route(sink), 1)
        second.configure(SECOND + route(sink))
        try:
            for node in (first, second):
                await off(node.start)
            await off(send, second, "default@y.example")
            # The second node has no address in the default pool: there the system chooses.
            assert (await arrival(sink, "default@y.example"))[0] in {"127.0.0.1", "127.0.0.21"}
            await off(first.run, "account", "pool", first.account, "bulk")
            await off(
                wait_until, lambda: _leaves_for(first, sink, "bulk"), "the pool of the account"
            )
            assert sink.peers[sink.messages[-1].session] == "127.0.0.22"
            await off(_twins_are_told, first, second, sink)

            await off(first.run, "account", "pool", first.account, "news")
            sink.said.script["GREETING"] = [HANG] * 50
            await off(
                wait_until, lambda: _in_hand(second) > 0, "mail of both nodes' pool at the second"
            )
            sink.said.script.clear()
            await off(second.kill)
            rows = await off(lambda: first.json("queue", "list"))
            for row in rows:
                peer, _ = await arrival(sink, row["recipient"])
                assert peer == "127.0.0.21", "the living node has an address of the pool"
            await off(first.run, "account", "pool", first.account, "bulk")
            await off(wait_until, lambda: _waits_for_bulk(first), "mail for a node that is dead")
            before = len(sink.messages)
            await off(second.start)
            # What came to the first node before it knew of the pool may arrive now, too.
            await sink.until(lambda: "127.0.0.22" in _peers(sink)[before:], 90)
        finally:
            for node in (first, second):
                await off(node.stop)


def _peers(sink: Sink) -> list[str]:
    return [sink.peers[message.session] for message in sink.messages]


def _leaves_for(node: Node, sink: Sink, name: str) -> bool:
    """Send until a worker knows the account's pool."""
    number = len(sink.messages)
    send(node, f"{name}{number}@y.example")
    wait_until(lambda: len(sink.messages) > number, "a message")
    return sink.peers[sink.messages[number].session] == "127.0.0.22"


def _twins_are_told(first: Node, second: Node, sink: Sink) -> None:
    second.stop()
    second.configure(FIRST + route(sink))
    second.start()
    told = "n0: source address 127.0.0.21 is at another node, too"
    wait_until(lambda: told in first.run("node", "list").stderr, "the twins")
    rows = {row["node"]: row["twins"] for row in first.json("egress", "list")}
    assert rows == {"n0": ["n1"], "n1": ["n0"]}
    assert "nodes n0 and n1 both have it" in first.run("check", check=False).stdout
    second.stop()
    second.configure(SECOND + route(sink))
    second.start()


def _in_hand(node: Node) -> int:
    """Send one more, and return how many the second node holds."""
    send(node, f"held{len(node.json('queue', 'list'))}@y.example")
    rows = {row["node"]: row["leased"] for row in node.json("node", "list")}
    return int(rows.get("n1", 0))


def _waits_for_bulk(node: Node) -> bool:
    send(node, "bulk@z.example")
    rows = node.json("queue", "list", "--recipient", "bulk@z.example")
    wanted = "no node that runs has a source address of pool bulk"
    return any(row["reason"] == wanted for row in rows)
