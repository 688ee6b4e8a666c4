"""No file descriptor left where DNS is asked and HTTP is spoken: mail waits, clients are put off, and all goes on
by itself when there are some again.
"""

import asyncio
import errno
import http.client
import json
import threading
from collections.abc import Iterator

import pytest

from tests.crash import processes
from tests.dns_server import DnsServer
from tests.faults.conftest import Scene, World, events
from tests.faults.test_descriptors import come_to_rest, leave_none, limit
from tests.support.node import HOST, wait_until
from tests.support.ports import free_ports

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

SETTINGS = """
[[routes]]
match = ["warm.test"]
via = "smtp:127.0.0.1:{sink}"
tls = "never"
[[routes]]
match = ["*"]
via = "smtp:next.hop.test:{sink}"
tls = "never"
[retry]
first = "200 ms"
longest = "1 s"
[dns]
resolvers = ["{dns}"]
[http]
address = "{host}:{http}"
"""


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    """A resolver that knows where the next hop is, for no longer than a moment."""
    server, loop = DnsServer(), asyncio.new_event_loop()
    server.add("next.hop.test", "A", "127.0.0.1", ttl=0)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(30)
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class Site:
    """A node with HTTP whose next hop has a name."""

    def __init__(self, scene: Scene, dns: DnsServer) -> None:
        (self.port,) = free_ports(1)
        self.node, self.scene = scene.node, scene
        self.node.settings = SETTINGS.format(
            sink=scene.sink.port, dns=dns.address, host=HOST, http=self.port
        )
        self.node.set_up()
        self.node.start()
        scene.wait_for_words("all workers serve")
        words = ("api-key", "add", "--scope", "send", "--account", self.node.account)
        self.key = self.node.json(*words)["key"]

    def children(self) -> list[int]:
        assert self.node.process is not None
        return processes.children(self.node.process.pid)

    def post(self, patience: float = 30) -> int:
        """Hand a message in; return the status, 0 where there was no answer in so many seconds."""
        account = self.node.account
        body = {"from": account, "to": ["b@next.test"], "content": f"From: {account}\n\nhello\n"}
        head = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(HOST, self.port, patience)
        try:
            connection.request("POST", "/v1/messages", json.dumps(body), head)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def end(self, former: list[int]) -> None:
        wait_until(lambda: all(self.post() == 202 for _ in range(5)), "HTTP for everybody")
        talk = self.scene.session()
        self.scene.send_until(talk, "250")
        self.scene.wait_until_arrived()
        wait_until(self.scene.is_up_to_date, "an empty queue")
        assert self.node.json("queue", "verify") == []
        assert self.children() == former


def test_the_system_has_none(scene: Scene, world: World, dns: DnsServer) -> None:
    site = Site(scene, dns)
    former = site.children()
    talk = scene.session()
    for number in range(3):  # its worker has what it needs of files
        talk.envelope(scene.node.account, f"w{number}@warm.test")
        content = f"From: <{scene.node.account}>\r\n\r\nwarm\r\n".encode()
        assert talk.message(content).startswith("250")
    wait_until(scene.is_up_to_date, "delivered")
    world.use_up_descriptors(errno.EMFILE)
    scene.send_until(talk, "250")
    assert site.post(patience=3) in {0, 503}
    come_to_rest(former)
    assert ("next.hop.test", "A") not in dns.queries
    world.use_up_descriptors(0)
    site.end(former)
    directory = scene.node.data_dir / "journal"  # which could not be written for a while, either
    wait_until(
        lambda: any(
            e["kind"] == "delivery.deferred" and "DNS trouble" in str(e) for e in events(directory)
        ),
        "why it waited, in the journal",
    )
    log = scene.node.log.read_text()
    assert "Traceback" not in log
    assert "a fault of ours" not in log


def test_a_limit_that_is_lowered_under_the_http_process(scene: Scene, dns: DnsServer) -> None:
    site = Site(scene, dns)
    assert site.post() == 202
    former = site.children()

    def is_refused() -> bool:
        leave_none(former[-1])  # what was being closed is free a moment later
        return site.post() in {0, 503}

    wait_until(lambda: all(is_refused() for _ in range(20)), "a process without descriptors")
    come_to_rest([former[-1]])
    limit(former[-1], 10_000)
    site.end(former)
    assert "Traceback" not in scene.node.log.read_text()
