"""The HTTP process of a running node: it submits, it dies and is born anew, it stops in order."""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import processes
from tests.node.talk import Talk, anyone
from tests.support.node import CAPTURE_ALL, HOST, Node, wait_until
from tests.support.ports import free_ports

ACCOUNT = "app@sender.test"
MESSAGE = {"from": ACCOUNT, "to": ["bob@y.example"], "content": f"From: {ACCOUNT}\n\nhello\n"}


class Client:
    """A node and its HTTP port."""

    def __init__(self, directory: Path, more: str = "") -> None:
        (self.port,) = free_ports(1)
        settings = f'{CAPTURE_ALL}\n[http]\naddress = "{HOST}:{self.port}"\n{more}'
        self.node = Node(directory, settings, 1, ACCOUNT, "correct horse")
        self.node.set_up(ACCOUNT)
        self.node.start()
        self.key = self.node.json("api-key", "add", "--scope", "send", "--account", ACCOUNT)["key"]

    def ask(
        self, method: str, path: str, body: object = None, source: str = "", **headers: str
    ) -> tuple[int, bytes]:
        origin = (source, 0) if source else None
        connection = http.client.HTTPConnection(HOST, self.port, 60, origin)
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        try:
            sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            octets = None if body is None else json.dumps(body)
            connection.request(method, path, octets, sent | headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def process(self) -> int:
        """Return the pid of the HTTP process: the last one born of the supervisor's children."""
        assert self.node.process is not None
        return processes.children(self.node.process.pid)[-1]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(tmp_path_factory.mktemp("http"))
    yield client
    if client.node.process is not None:
        assert client.node.stop() == 0, client.node.log.read_text()


def test_what_http_accepts_the_workers_deliver(client: Client) -> None:
    once = {"Idempotency-Key": "order-1"}
    status, body = client.ask("POST", "/v1/messages", MESSAGE, **once)
    assert status == 202, body
    identifier = json.loads(body)["id"]

    def is_captured() -> bool:
        (traced,) = client.node.json("trace", identifier)
        return [d["state"] for d in traced["deliveries"]] == ["captured"]

    wait_until(is_captured, "the delivery")
    os.kill(client.process(), signal.SIGKILL)
    status, body = client.ask("POST", "/v1/messages", MESSAGE, **once)  # waits in the socket
    assert (status, json.loads(body)) == (200, {"id": identifier, "repeated": True})
    assert "the HTTP process ended by SIGKILL" in client.node.log.read_text()


def test_a_revoked_key_is_good_for_nothing(client: Client) -> None:
    made = client.node.json("api-key", "add", "--scope", "read", "--label", "short")
    read = {"Authorization": f"Bearer {made['key']}"}
    assert client.ask("GET", "/v1/suppressions", **read)[0] == 200
    client.node.run("api-key", "revoke", "short")
    assert client.ask("GET", "/v1/suppressions", **read)[0] == 401
    assert client.ask("GET", "/healthz") == (200, b'{"status":"ok"}')
    assert b"gatepost_connections" in client.ask("GET", "/metrics")[1]


def test_the_command_line_judges_as_the_api_does(client: Client) -> None:
    words = ("judge", "--account", ACCOUNT, "--from", ACCOUNT, "--to", "bob@y.example", "--json")
    done = client.node.run(*words, stdin=MESSAGE["content"])
    mine = json.loads(done.stdout)
    theirs = json.loads(client.ask("POST", "/v1/judge", MESSAGE)[1])
    assert mine["would_be_queued"] is theirs["would_be_queued"] is True
    assert mine["recipients"] == theirs["recipients"]
    refused = client.node.run(*words, stdin="From: boss@sender.test\n\n", check=False)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["rules"][-1]["reply"]["code"] == 550


def test_metrics_tell_logins_and_why_others_were_refused(client: Client) -> None:
    def log_in(password: str) -> str:
        with Talk(client.node.ports.submissions, tls=anyone()) as talk:
            talk.hello()
            return talk.login(ACCOUNT, password)

    assert log_in("wrong").startswith("535")
    assert log_in("correct horse").startswith("235")
    # Counted by a worker, told by another process: in memory that both have.
    told = client.ask("GET", "/metrics")[1].decode().splitlines()
    assert 'gatepost_logins_refused_total{reason="wrong_password"} 1' in told
    assert 'gatepost_logins_refused_total{reason="suspended"} 0' in told
    assert "gatepost_logins_total 1" in told


def test_it_stops_with_the_node(tmp_path: Path) -> None:
    own = Client(tmp_path)
    pid = own.process()
    assert own.node.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
