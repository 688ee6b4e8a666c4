"""A plain stop, and the end of a program that another follows: nobody hears nothing."""

import http.client
import os
import select
import signal
import socket
import threading
from collections import Counter
from contextlib import ExitStack
from typing import Self

from tests.conftest import NodeMaker
from tests.crash import processes
from tests.node.conftest import LOCAL
from tests.node.test_restart import Knocker
from tests.support.node import HOST, Node, wait_until
from tests.support.ports import free_ports

WAITING = 60


def heard(sock: socket.socket) -> str:
    """What a connection heard before its end."""
    said = b""
    try:
        while octets := sock.recv(1000):
            said += octets
    except OSError as problem:
        return type(problem).__name__
    return said.decode()[:9] or "closed"


def freeze(node: Node, number: int) -> list[int]:
    assert node.process is not None
    workers = processes.children(node.process.pid)
    for pid in workers:
        os.kill(pid, number)
    return workers


def waiting(stack: ExitStack, port: int, count: int) -> list[socket.socket]:
    return [
        stack.enter_context(socket.create_connection((HOST, port), timeout=60))
        for _ in range(count)
    ]


def web(node: Node) -> int:
    """Give a node an HTTP port."""
    (port,) = free_ports(1)
    node.configure(f'{LOCAL}\n[http]\naddress = "{HOST}:{port}"\n')
    node.start()
    wait_until(lambda: "all workers serve" in node.log.read_text(), "all processes")
    return port


def test_who_waits_at_a_port_that_closes_is_told(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=2, start=False)
    port = web(node)
    former = node.process
    with ExitStack() as stack:
        freeze(node, signal.SIGSTOP)
        queues = [waiting(stack, each, WAITING) for each in (node.ports.mx, node.ports.submissions)]
        asked = waiting(stack, port, WAITING)
        for sock in asked:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        node.signal(signal.SIGTERM)
        said = Counter(map(heard, queues[0]))
        assert set(said) == {"421 4.3.2"}, said
        # TLS comes first there: there is nothing to say before.
        assert Counter(map(heard, queues[1])) == {"closed": WAITING}
        assert Counter(map(heard, asked)) == {"HTTP/1.1 ": WAITING}
        freeze(node, signal.SIGCONT)
    assert former is not None
    assert former.wait(60) == 0


def test_a_stop_under_a_crowd_resets_nobody(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=2)
    wait_until(lambda: "all workers serve" in node.log.read_text(), "both workers")
    with Knocker(node.ports.mx) as knocker:
        knocker.wait_for(50)
        assert node.stop() == 0
        knocker.wait_for(50)
    assert set(knocker.received) <= {"220", "421", "ConnectionRefusedError"}, knocker.received


class Asker:
    """Asks over connections that are kept alive, each as a client with a pool does: what was closed
    while it was silent is opened anew; an answer that never comes is counted.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.said: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        while not self._stop.wait(0.002):
            if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
                connection.close()
            try:
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                answer.read()
                self.said[str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as problem:
                self.said[type(problem).__name__] += 1
                connection.close()
        connection.close()

    def wait_for(self, more: int) -> None:
        wanted = self.said.total() + more
        wait_until(lambda: self.said.total() >= wanted, f"{more} more answers")


def test_requests_on_connections_that_are_kept_alive_outlive_a_restart(
    make_node: NodeMaker,
) -> None:
    node = make_node(LOCAL, start=False)
    port = web(node)
    with Asker(port) as asker:
        for _ in range(2):
            former = node.process
            asker.wait_for(200)
            node.restart()
            assert former is not None
            wait_until(lambda p=former: p.poll() is not None, "the former program's end")  # type: ignore[misc]
            asker.wait_for(200)
    assert set(asker.said) == {"200"}, asker.said


def test_a_request_that_has_begun_is_answered_by_the_former_program(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, start=False)
    port = web(node)
    former = node.process
    with socket.create_connection((HOST, port), timeout=60) as begun:
        with socket.create_connection((HOST, port), timeout=60) as idle:
            begun.sendall(b"GET /healthz HTTP/1.1\r\nHo")
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
            node.restart()
            assert heard(idle) != "ConnectionResetError"  # it said nothing more, and was closed
        begun.sendall(b"st: x\r\n\r\n")
        answer = b""
        while octets := begun.recv(1000):
            answer += octets
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert former is not None
    wait_until(lambda: former.poll() is not None, "the former program's end")
