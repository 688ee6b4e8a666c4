"""Limits of logins on a real node with two workers: locks that outlive it, app passwords."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.talk import Talk, anyone
from tests.support.node import CAPTURE_ALL, Node, greets, on_all_workers, wait_until

NAME = "app@example.com"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node", CAPTURE_ALL, workers=2)
    node.run("init", str(node.directory))
    node.configure(CAPTURE_ALL)
    node.add_account(NAME, node.password, NAME, "@example.org")
    node.start()
    yield node
    node.stop()


def login(node: Node, password: str, source: str = "127.0.0.5") -> str:
    with Talk(node.ports.submissions, tls=anyone(), source=source) as talk:
        talk.hello()
        return talk.login(NAME, password)


def test_a_lock_holds_for_all_workers_outlives_a_kill_and_is_lifted_by_hand(node: Node) -> None:
    replies = [login(node, f"guess {n}") for n in range(5)]
    assert all(reply.startswith("535 5.7.8") for reply in replies[:5])

    def is_locked() -> bool:
        return login(node, node.password).startswith("454 4.7.0")

    on_all_workers(is_locked, "the lock in both workers")
    assert login(node, node.password, "127.0.0.6").startswith("235")
    node.kill()  # one worker has heard of it from the store: it is written
    # Its workers may take a moment more to go than their supervisor, and the port with them.
    wait_until(lambda: not greets(node.ports.submissions), "the end of the node")
    node.start()
    wait_until(is_locked, "the lock after a restart")
    assert node.run("account", "unlock", NAME).stdout.startswith(f"unlocked: {NAME}")
    on_all_workers(lambda: login(node, node.password).startswith("235"), "the end of the lock")
    assert node.run("account", "unlock", NAME, check=False).returncode == 1


def test_an_app_password_is_held_to_its_limits_and_revoked_in_open_sessions(node: Node) -> None:
    limits = ("--label", "printer", "--from", "127.0.0.5", "--sender", "@example.org")
    made = node.json("account", "app-password", "add", NAME, *limits)
    on_all_workers(lambda: login(node, made["secret"]).startswith("235"), "the app password")
    refused = login(node, made["secret"], "127.0.0.6")
    assert refused.startswith("535 5.7.8")
    with Talk(node.ports.submissions, tls=anyone(), source="127.0.0.5") as talk:
        talk.hello()
        assert talk.login(NAME, made["secret"]).startswith("235")
        talk.must("MAIL FROM:<any@example.org>", "250")
        talk.must("RSET", "250")
        talk.must(f"MAIL FROM:<{NAME}>", "550 5.7.1")
        node.run("account", "app-password", "revoke", NAME, "printer")

        def is_out() -> bool:
            reply = talk.ask("MAIL FROM:<any@example.org>")
            if reply.startswith("250"):
                talk.must("RSET", "250")
            return reply.startswith("550 5.7.13")

        wait_until(is_out, "the revocation")
    tag = refused.rpartition("[")[2].rstrip("]")
    wait_until(lambda: node.run("explain", tag, check=False).returncode == 0, "the event")
    explained = node.json("explain", tag)
    assert explained["cause"] == "address not allowed"
    assert explained["client"] == "127.0.0.6"
    assert made["secret"] not in str(explained)


def test_only_app_passwords_where_they_are_required(node: Node) -> None:
    made = node.json("account", "app-password", "add", NAME, "--label", "x")
    on_all_workers(lambda: login(node, made["secret"]).startswith("235"), "the app password")
    node.run("account", "app-password", "require", NAME)
    on_all_workers(lambda: login(node, node.password).startswith("534 5.7.9"), "534")
    assert login(node, "wrong").startswith("535 5.7.8")
    assert login(node, made["secret"]).startswith("235")

    def used() -> bool:
        found = node.json("account", "app-password", "list", NAME)[0]
        return bool(found["last_mechanism"] == "PLAIN" and found["last_tls"].startswith("TLSv1.3"))

    wait_until(used, "the last use")
