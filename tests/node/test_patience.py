"""A database that is not up yet is waited for; what does not pass by itself is told at once."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.node.patience import wait_for
from tests.support.node import CAPTURE_ALL, Node, environment, greets, wait_until
from tests.support.postgresql import HASTY, PostgresServer


def test_pauses_grow_and_each_reason_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    tries = iter(["no host", "no host", "starting up", *["no host"] * 4, None])
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    with caplog.at_level("INFO"):
        assert wait_for(lambda: next(tries), pause)
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
    assert caplog.messages == [
        "waiting: no host",
        "waiting: starting up",
        "waiting: no host",
        "what was waited for is there",
    ]


def test_who_need_not_wait_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert wait_for(lambda: None, lambda _: True)
    assert caplog.messages == []


def test_who_is_told_to_end_waits_no_longer() -> None:
    assert not wait_for(lambda: "no host", lambda _: True)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer(HASTY)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def node(server: PostgresServer, tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node")
    node.run("init", str(node.directory))
    node.top = f'store = "{server.url()}"\n'
    node.configure(CAPTURE_ALL)
    yield node
    node.stop()


def serve(node: Node) -> None:
    """Start it, and do not wait until it listens."""
    with node.log.open("ab") as log:
        node.process = node.first = subprocess.Popen(
            [sys.executable, "-m", "gatepost", "-c", str(node.config), "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment() | node.surroundings,
            start_new_session=True,
        )


def waits(node: Node) -> bool:
    assert node.process is not None
    assert node.process.poll() is None, node.log.read_text()
    return "waiting: the store in" in node.log.read_text()


def test_a_database_that_comes_later_is_waited_for(
    node: Node, server: PostgresServer, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        node.surroundings = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        server.stop()
        try:
            serve(node)
            wait_until(lambda: waits(node), "that it waits")
            assert manager.recv(4000).startswith(b"EXTEND_TIMEOUT_USEC=60000000\nSTATUS=waiting: ")
            assert not greets(node.ports.submission)
            done = node.run("check", check=False)
            assert "serve waits for it" in done.stdout
        finally:
            server.start()
        wait_until(lambda: greets(node.ports.submission), "a node that serves")
        while (heard := manager.recv(4000)) != b"READY=1\nSTATUS=":
            assert heard.startswith(b"EXTEND_TIMEOUT_USEC=")
    assert node.log.read_text().count("waiting: ") <= 3  # refused, perhaps starting up, and refused


def test_who_waits_ends_when_told(node: Node, server: PostgresServer) -> None:
    server.stop()
    try:
        serve(node)
        wait_until(lambda: waits(node), "that it waits")
        assert node.process is not None
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(60) == 0
    finally:
        server.start()
    assert "Traceback" not in node.log.read_text()


def test_a_database_of_another_name_is_not_waited_for(node: Node, server: PostgresServer) -> None:
    node.top = f'store = "{server.url("another")}"\n'
    node.configure(CAPTURE_ALL)
    done = node.run("serve", check=False)
    assert done.returncode == 2
    assert 'database "another" does not exist' in done.stderr
