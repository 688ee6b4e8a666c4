"""A node behind a load balancer: all that looks at a client's address sees the client's, and a reload learns of
another balancer.
"""

import contextlib
import json
import signal
import ssl
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import count

import pytest

from tests.node.conftest import ACCOUNT, LOCAL, PASSWORD
from tests.node.talk import Talk, anyone
from tests.support.node import Node, on_all_workers, wait_until

BALANCER, OTHER = "127.0.0.9", "127.0.0.10"
LETTER = b"From: app@sender.test\r\nSubject: x\r\n\r\nhi\r\n"


def balanced(node: Node, *balancers: str) -> None:
    """Have every listener believe these."""
    named = json.dumps(balancers)
    lines = node.config.read_text().splitlines()
    lines = [each for each in lines if not each.startswith("proxy_protocol_from")]
    said = [
        f"{each}\nproxy_protocol_from = {named}" if each.startswith("role") else each
        for each in lines
    ]
    node.config.write_text("\n".join(said) + "\n")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("node"), LOCAL, 2, ACCOUNT, PASSWORD)
    node.set_up(ACCOUNT)
    balanced(node, f"{BALANCER}/32")
    node.start()
    yield node
    assert node.stop() == 0
    assert "Traceback" not in node.log.read_text()


def by(balancer: str, client: str, port: int, *, binary: bool = False) -> Talk:
    """Return a connection that a balancer has passed on."""
    talk = Talk(port, source=balancer)
    address = ip_address(client)
    if binary:
        body = address.packed * 2 + struct.pack("!HH", 4711, port) + b"\x04\0\3xyz"
        kind = 0x11 if address.version == 4 else 0x21
        head = bytes.fromhex("0d0a0d0a000d0a515549540a21") + struct.pack("!BH", kind, len(body))
        talk.send(head + body)
    else:
        talk.send(f"PROXY TCP{address.version} {client} {client} 4711 {port}\r\n".encode())
    return talk


def events(node: Node, kind: str) -> list[dict[str, object]]:
    files = sorted((node.data_dir / "journal").glob("*.jsonl"))
    octets = [file.read_bytes().rpartition(b"\n")[0] for file in files]  # whole lines
    lines = [json.loads(line) for each in octets for line in each.splitlines()]
    return [line["facts"] for line in lines if line["kind"] == kind]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::7"])
def test_trace_and_journal_tell_the_client_on_every_listener(
    node: Node, client: str, binary: bool
) -> None:
    def logged_in(talk: Talk) -> None:
        assert talk.login(ACCOUNT, PASSWORD).startswith("235")
        talk.envelope(ACCOUNT, "you@elsewhere.test")
        queued.append(talk.message(LETTER).rpartition(" ")[2])

    queued: list[str] = []
    with by(BALANCER, client, node.ports.submission, binary=binary) as talk:
        talk.hello()
        talk.must("STARTTLS", "220")
        talk.start_tls(anyone())
        talk.must("EHLO c.test", "250")
        logged_in(talk)
    with by(BALANCER, client, node.ports.submissions, binary=binary) as talk:
        talk.start_tls(anyone())
        talk.hello()
        logged_in(talk)
    with by(BALANCER, client, node.ports.mx, binary=binary) as talk:
        talk.hello()
        talk.envelope("joe@client.test", "alice@local.test")
        queued.append(talk.message(LETTER).rpartition(" ")[2])
    trace = f"[{'IPv6:' if ':' in client else ''}{client}]"

    def shown() -> list[dict[str, object]]:
        return [row for row in node.captured() if row["message"] in queued[:2]]

    wait_until(lambda: len(shown()) == 2, "both messages")
    assert [trace.encode() in node.content(row) for row in shown()] == [True, True]
    inbox = node.data_dir / "local"
    wait_until(lambda: any(trace in f.read_text() for f in inbox.rglob("new/*")), "local mail")
    wait_until(
        lambda: sum(f["client"] == client for f in events(node, "message.accepted")) >= 3, "events"
    )


def test_guessing_locks_who_guesses_and_nobody_else_behind_the_balancer(node: Node) -> None:
    def attempt(client: str, password: str) -> str:
        with by(BALANCER, client, node.ports.submissions) as talk:
            talk.start_tls(anyone())
            talk.hello()
            return talk.login(ACCOUNT, password)

    guesses = count()
    on_all_workers(
        lambda: attempt("198.51.100.66", f"wrong {next(guesses)}").startswith(("454", "421")),
        "a lock",
    )
    assert attempt("192.0.2.8", PASSWORD).startswith("235")
    wait_until(
        lambda: any(f["client"] == "198.51.100.66" for f in events(node, "login.refused")),
        "an event",
    )


def test_who_is_not_listed_is_an_ordinary_client(node: Node) -> None:
    with by("127.0.0.8", "192.0.2.7", node.ports.submission) as talk:
        assert talk.reply().startswith("220")
        assert talk.reply().startswith("500")
        talk.must("EHLO c.test", "250")
    with (
        by("127.0.0.8", "192.0.2.7", node.ports.submissions) as talk,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        talk.start_tls(anyone())
    with Talk(node.ports.submissions, tls=anyone()) as talk:
        talk.hello()


def test_who_is_listed_and_says_something_else_is_closed_and_the_log_tells_it(node: Node) -> None:
    with Talk(node.ports.mx, source=BALANCER) as talk:
        talk.send(b"EHLO c.test\r\n")
        assert talk.reply() == ""
    wait_until(lambda: "sent no PROXY header: what it sends" in node.log.read_text(), "a warning")


def test_a_reload_learns_of_another_balancer(node: Node) -> None:
    def believed(balancer: str) -> bool:
        with contextlib.suppress(ConnectionError), by(balancer, "192.0.2.9", node.ports.mx) as talk:
            return talk.reply().startswith("220") and talk.ask("NOOP").startswith("250")
        return False

    assert not believed(OTHER)
    begin = len(node.log.read_text())
    balanced(node, BALANCER, OTHER)
    node.signal(signal.SIGHUP)
    wait_until(lambda: "taken over by all workers" in node.log.read_text()[begin:], "the reload")
    on_all_workers(lambda: believed(OTHER), "the other balancer to be believed")
    assert believed(BALANCER)
    assert "need a restart" not in node.log.read_text()[begin:]
