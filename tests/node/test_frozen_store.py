"""The database freezes: who is known logs in at once, who is not hears 454 soon, and no mail is taken."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.talk import Talk, anyone
from tests.support.node import CAPTURE_ALL, Node, wait_until
from tests.support.postgresql import HASTY, PATIENCE, PostgresServer

KNOWN, STALE, SUSPENDED, UNKNOWN = (
    f"{name}@example.com" for name in ("known", "stale", "suspended", "unknown")
)
PASSWORD = "correct horse"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    made = PostgresServer(HASTY)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def node(server: PostgresServer, tmp_path: Path) -> Iterator[Node]:
    server.execute("CREATE DATABASE gatepost")
    made = Node(tmp_path, CAPTURE_ALL, workers=1, top=f'store = "{server.url("gatepost")}"\n')
    made.set_up()
    for name in (KNOWN, STALE, SUSPENDED, UNKNOWN):
        made.add_account(name, PASSWORD)
    made.start()
    yield made
    made.stop()


def login(node: Node, name: str) -> tuple[str, float]:
    """Return the reply, and after how many seconds it came."""
    token = base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode()
    with Talk(node.ports.submissions, tls=anyone()) as talk:
        talk.hello()
        began = time.monotonic()
        reply = talk.ask(f"AUTH PLAIN {token}")
        return reply, time.monotonic() - began


def is_taken(node: Node, name: str) -> bool:
    with Talk(node.ports.submissions, tls=anyone()) as talk:
        talk.hello()
        talk.login(name, PASSWORD)
        talk.must(f"MAIL FROM:<{name}>", "250")
        talk.must("RCPT TO:<bob@y.example>", "250")
        talk.must("DATA", "354")
        reply = talk.ask(f"From: {name}\r\nSubject: hello\r\n\r\nhello\r\n.")
        assert reply[:3] in {"250", "451"}
        return reply.startswith("250")


@pytest.mark.crash
@pytest.mark.alone
@pytest.mark.timeout(4 * PATIENCE)
@pytest.mark.rfc("4954#6")
def test_who_is_known_is_answered_and_who_is_not_hears_so_soon(
    node: Node, server: PostgresServer
) -> None:
    for name in (KNOWN, STALE, SUSPENDED):
        assert login(node, name)[0].startswith("235")
    node.run("account", "suspend", SUSPENDED)
    # Known since then: what was read before the change is not good any more.
    wait_until(lambda: not login(node, SUSPENDED)[0].startswith("235"), "the suspension")
    assert login(node, KNOWN)[0].startswith("235")
    server.freeze()
    try:
        assert login(node, KNOWN)[0].startswith("235")
        assert not is_taken(node, KNOWN)
        answers = [login(node, name) for name in (STALE, UNKNOWN, STALE, UNKNOWN, STALE)]
        assert not login(node, SUSPENDED)[0].startswith("235")
        assert login(node, KNOWN)[0].startswith("235")
    finally:
        server.thaw()
    print("\n454 came after " + ", ".join(f"{lasted:.1f}" for _, lasted in answers) + " s")
    assert {reply[:9] for reply, _ in answers} == {"454 4.7.0"}
    assert sum(lasted for _, lasted in answers) < 25.0, "each of them took 10 s once"
    wait_until(lambda: login(node, STALE)[0].startswith("235"), "the login")
    wait_until(lambda: is_taken(node, STALE), "the message")
    assert not login(node, SUSPENDED)[0].startswith("235")
