"""Nodes over one PostgreSQL, each on a machine of its own, between a load and a sink outside."""

import base64
import os
import pwd
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.conftest import SETTINGS, SinkProcess
from tests.crash.ledger import Findings, Kill, judge
from tests.crash.load import Load
from tests.crash.nodes.network import DATABASE_NET, OUTER_NET, Machine, Network
from tests.support.node import Node, wait_until
from tests.support.postgresql import PostgresServer
from tests.support.programs import need, run

#: Seconds for one reply: a paused or cut-off node answers nobody.
PATIENCE = 12.0
#: Seconds until neighbours hold a silent worker for lost: 15, more where it was stopped in the midst
#: of a transaction that others wait for, and much more on a busy machine.
LOST = 120.0
_UNDER_WAY = (
    "SELECT pid, client_addr::text, state, wait_event, pg_blocking_pids(pid),"
    " now() - xact_start, now() - query_start, left(query, 80)"
    " FROM pg_stat_activity WHERE application_name = 'gatepost' AND xact_start IS NOT NULL"
)


@dataclass
class Spender:
    """Clients of an account with a limit, who try more than it may send, over all nodes at once."""

    nodes: Sequence[Node]
    name: str
    password: str
    context: ssl.SSLContext
    accepted: list[str] = field(default_factory=list)
    #: No reply came: nobody but the next hop knows.
    unknown: list[str] = field(default_factory=list)
    refused: int = 0
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, clients: int) -> None:
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(4 * PATIENCE)

    def _work(self, number: int) -> None:
        count = 0
        while not self._ending.is_set():
            node = self.nodes[(number + count) % len(self.nodes)]
            # Whoever cannot be reached, or hangs up, is tried again later.
            with suppress(OSError, AssertionError):
                count += self._session(node, f"q{number}-{count}")
            count += 1
            self._ending.wait(0.02)

    def _session(self, node: Node, name: str) -> int:
        with socket.create_connection((node.host, node.ports.submissions), PATIENCE) as plain:
            return self._talk(self.context.wrap_socket(plain), name)

    def _talk(self, sock: ssl.SSLSocket, name: str) -> int:
        words = base64.b64encode(f"\0{self.name}\0{self.password}".encode()).decode()
        lines = sock.makefile("rb")

        def ask(command: str) -> str:
            sock.sendall(f"{command}\r\n".encode() if command else b"")
            while True:
                line = lines.readline()
                if not line:
                    raise ConnectionResetError
                if line[3:4] != b"-":
                    return line.decode()

        ask("")
        ask("EHLO spender.test")
        ask(f"AUTH PLAIN {words}")
        for number in range(5):
            one = f"{name}-{number}"
            for command in (f"MAIL FROM:<{self.name}>", f"RCPT TO:<{one}@next.test>", "DATA"):
                reply = ask(command)
            if not reply.startswith("354"):
                self.refused += 1
                return number
            try:
                reply = ask(
                    f"From: <{self.name}>\r\nSubject: {one}\r\nX-Mark: {one} 00000000\r\n\r\n."
                )
            except OSError:
                self.unknown.append(one)
                raise
            if reply.startswith("250"):
                self.accepted.append(one)
        return 5


@dataclass
class Cluster:
    """All of it; what happened to whom is noted, for the ledger to be judged by."""

    network: Network
    database: PostgresServer
    nodes: list[Node]
    sink: SinkProcess
    load: Load
    kills: list[Kill] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _since: dict[tuple[str, str], float] = field(default_factory=dict)

    def say(self, words: str) -> None:
        """Print what happens, and when."""
        print(f"  {time.monotonic() - self.began:5.1f} s: {words}")

    def machine(self, node: Node) -> Machine:
        return self.network.nodes[self.nodes.index(node)]

    def listed(self, by: Node) -> dict[str, str]:
        """Return the states of all nodes as one of them sees them."""
        return {row["node"]: row["state"] for row in by.json("node", "list")}

    def wait_until_state(self, node: Node, state: str, by: Node) -> None:
        name = self.machine(node).name
        try:
            wait_until(
                lambda: self.listed(by).get(name) == state, f"{name} to be {state}", patience=LOST
            )
        except AssertionError as error:
            rows = "\n".join(map(str, self.database.execute(_UNDER_WAY)))
            msg = f"{error}\nnodes: {by.json('node', 'list')}\nunder way in the database:\n{rows}"
            raise AssertionError(msg) from None

    def kill(self, node: Node) -> None:
        self.kills.append(Kill("node", time.monotonic()))
        node.kill()

    def pause(self, node: Node) -> None:
        self._begins("pause", node)
        _signal(node, signal.SIGSTOP)

    def resume(self, node: Node) -> None:
        _signal(node, signal.SIGCONT)
        self._ends("pause", node)

    def cut(self, node: Node) -> None:
        """Cut a node off from the database, and from nothing else."""
        self._begins("cut", node)
        self.network.cut(self.machine(node), DATABASE_NET)

    def mend(self, node: Node) -> None:
        self.network.mend(self.machine(node), DATABASE_NET)
        self._ends("cut", node)

    def _begins(self, what: str, node: Node) -> None:
        self._since[what, str(node.directory)] = time.monotonic()

    def _ends(self, what: str, node: Node) -> None:
        began = self._since.pop((what, str(node.directory)))
        self.kills.append(Kill(what, began, time.monotonic() - began))

    def settle_accounts(self, spender: Spender) -> Findings:
        """End the load, let the queue run empty, hold what was sent against what arrived."""
        spender.stop()
        self.load.stop()
        ask = self.nodes[0]
        empty = ("queue", "list", "--limit", "1")
        # What was leased in a commit whose answer was lost waits for its lease to end (2 minutes).
        wait_until(lambda: not ask.json(*empty), "an empty queue", patience=200.0)
        assert ask.json("queue", "verify") == []
        arrivals = self.sink.arrivals()
        own = [copy for copy in arrivals.copies if not copy.id.startswith("q")]
        found = judge(self.load.sent, type(arrivals)(own, arrivals.ends, arrivals.cut), self.kills)
        arrived = {c.submission: c.id for c in arrivals.copies if c.id.startswith("q")}
        found.counts["limited account: got 250"] = len(spender.accepted)
        found.counts["limited account: refused"] = spender.refused
        found.counts["limited account: arrived"] = len(arrived)
        lost = set(spender.accepted) - set(arrived.values())
        found.faults += [f"lost: {one} of the limited account" for one in sorted(lost)]
        return found


def _signal(node: Node, number: signal.Signals) -> None:
    assert node.process is not None
    os.killpg(node.process.pid, number)


@contextmanager
def database(network: Network, settings: Sequence[str] = ()) -> Iterator[PostgresServer]:
    """Run PostgreSQL on its machine; the test asks it from outside, by the same network."""
    server = PostgresServer(settings, host=network.database.address(DATABASE_NET))
    whose = server.user and pwd.getpwnam(server.user)
    drop = () if not whose else (f"--reuid={whose.pw_uid}", f"--regid={whose.pw_gid}")
    server.inside = (*network.database.inside, "setpriv", *drop, "--clear-groups")
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def cluster(
    directory: Path, network: Network, server: PostgresServer, *, skews: Sequence[int], seed: int
) -> Iterator[Cluster]:
    """Start one node per machine, of one certificate, master key and account; `skews` are what
    their clocks are ahead by, in seconds.
    """
    outside = network.outside.address(OUTER_NET)
    sink = SinkProcess(directory / "journal", host=outside)
    sink.start()
    store = f"{server.url('gatepost')}?sslmode=disable"
    server.execute("CREATE DATABASE gatepost")
    nodes: list[Node] = []
    load = None
    try:
        for machine, skew in zip(network.nodes, skews, strict=True):
            nodes.append(_make_node(directory, machine, store, sink.port, outside, skew))
            _join(nodes[-1], nodes[0])
        for node in nodes:
            node.start()
        load = Load(nodes[0], seed, clients=6, others=nodes[1:], patience=PATIENCE)
        yield Cluster(network, server, nodes, sink, load)
    finally:
        if load is not None:
            load.abandon()
        for node in nodes:
            node.kill()
        sink.kill()


def _make_node(
    directory: Path, machine: Machine, store: str, port: int, outside: str, skew: int
) -> Node:
    settings = SETTINGS.format(port=port).replace("127.0.0.1", outside)
    node = Node(directory / machine.name, settings, 2)
    node.host = machine.address(OUTER_NET)
    node.inside = machine.inside
    node.top = f'store = "{store}"\nnode = "{machine.name}"\n'
    node.surroundings = _wrong_clock(directory, skew) if skew else {}
    return node


def _join(node: Node, first: Node) -> None:
    """Set a node up: the first one wholly, the others with what they share with it."""
    if node is first:
        node.set_up()
        return
    node.run("init", str(node.directory))
    node.configure(node.settings)
    node.account, node.password = first.account, first.password
    for name in ("cert.pem", "key.pem", "state/master.key"):
        shutil.copy2(first.directory / name, node.directory / name)


def _wrong_clock(directory: Path, seconds: int) -> dict[str, str]:
    library = directory / "skew.so"
    if not library.exists():
        source = Path(__file__).with_name("skew.c")
        done = run([need("cc"), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"])
        assert not done.returncode, done.stdout
    return {"LD_PRELOAD": str(library), "CLOCK_SKEW": str(seconds)}
