"""A node of two workers between a load and a sink, all of them in processes that may be killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash import processes
from tests.crash.ledger import (
    Arrivals,
    Findings,
    Kill,
    judge,
    read_journal,
    read_outcomes,
    unreported,
)
from tests.crash.load import Load, Refusal
from tests.support.node import HOST, Node, wait_until
from tests.support.ports import free_port, free_ports

WORKERS = 2
SETTINGS = """
[[routes]]
match = ["*"]
via = "smtp:127.0.0.1:{port}"
tls = "never"

[retry]
first = "200 ms"
longest = "1 s"
"""


@dataclass
class SinkProcess:
    """tests/crash/sink.py at work; born anew it has the same port and journal. Nobody who calls out is given
    that port meanwhile.
    """

    journal: Path
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, *, cut_every: int = 0, drop_every: int = 0) -> None:
        script = Path(__file__).with_name("sink.py")
        words = [self.port, self.journal, cut_every, drop_every, self.host]
        self.process = subprocess.Popen(
            [sys.executable, str(script), *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def arrivals(self) -> Arrivals:
        return read_journal(self.journal)


@dataclass
class Rig:
    """Load, node and sink; what was killed, and when the node was away."""

    node: Node
    sink: SinkProcess
    load: Load
    seed: int
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    #: Monotonic times between which nobody could listen.
    away: list[tuple[float, float]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    #: The supervisor's children: the workers, and the HTTP process where there is one.
    processes: int = WORKERS

    def workers(self) -> list[int]:
        assert self.node.process is not None
        return processes.children(self.node.process.pid)

    def kill_worker(self) -> int:
        """Kill any worker; return which."""
        victim = self.chance.choice(self.workers())
        self.kills.append(Kill("worker", time.monotonic()))
        os.kill(victim, signal.SIGKILL)
        return victim

    def wait_for_workers(self, dead: int, *, patience: float = 30.0) -> None:
        """Wait until all workers are there again, without the dead one."""

        def reborn() -> bool:
            workers = self.workers()
            return len(workers) == self.processes and dead not in workers

        wait_until(reborn, f"a successor of worker {dead}", patience=patience)

    def kill_node(self) -> None:
        """Kill the supervisor and all workers, and start anew."""
        workers = self.workers()
        self.goes_away()
        self.kills.append(Kill("node", time.monotonic()))
        self.node.kill()
        wait_until(lambda: not any(map(processes.is_alive, workers)), "the node's end")
        self.restart()

    def kill_supervisor(self) -> None:
        """Kill the supervisor alone; start anew when the orphans have left the ports."""
        workers, supervisor = self.workers(), self.node.process
        assert supervisor is not None
        self.goes_away()
        self.kills.append(Kill("supervisor", time.monotonic()))
        os.kill(supervisor.pid, signal.SIGKILL)
        supervisor.wait(30)
        wait_until(lambda: not any(map(processes.is_alive, workers)), "the orphans' end")
        self.restart()

    def hand_over(self) -> None:
        """Have another program take over; the former one ends in its own time."""
        self.node.restart()

    def restart(self) -> None:
        """Start a node that has ended."""
        self.node.start()
        self.away[-1] = (self.away[-1][0], time.monotonic())

    def goes_away(self) -> None:
        """Note that from now on nobody may listen, until `restart`."""
        self.away.append((time.monotonic(), float("inf")))

    def kill_sink(self, *, cut_every: int = 0, drop_every: int = 0) -> None:
        """Kill the sink; its successor may be ill-tempered."""
        self.kills.append(Kill("sink", time.monotonic()))
        self.sink.kill()
        self.sink.start(cut_every=cut_every, drop_every=drop_every)

    def refused(self) -> list[str]:
        """Return the connections that nobody took although the node was there."""
        return [
            f"{r.why}, tried at {r.began - self.began:.3f} s for {r.at - r.began:.3f} s"
            for r in self._unexpected()
            if not r.is_put_off
        ]

    def _unexpected(self) -> list[Refusal]:
        return [
            refusal
            for refusal in self.load.refusals
            if not any(begin <= refusal.at and refusal.began <= end for begin, end in self.away)
        ]

    def wait_until_empty(self, *, patience: float = 60.0) -> None:
        """Wait until the queue holds nothing more."""
        list_one = ("queue", "list", "--limit", "1")
        wait_until(lambda: not self.node.json(*list_one), "an empty queue", patience=patience)

    def settle_accounts(self) -> Findings:
        """End the load, let the queue run empty, hold what was sent against what arrived, and
        print the counts. What is lost, damaged or twice without a cause fails the test.
        """
        self.load.stop()
        self.wait_until_empty()
        wait_until(
            lambda: not unreported(self.load.sent, self.sink.arrivals()), "reports of success"
        )
        self.wait_until_empty()
        assert self.node.json("queue", "verify") == []
        outcomes = read_outcomes(self.node.data_dir / "gatepost.db")
        found = judge(self.load.sent, self.sink.arrivals(), self.kills, outcomes)
        found.counts["sessions granted"] = self.load.sessions["granted"]
        found.counts["sessions put off before login (421)"] = self.load.sessions["put off"]
        found.counts["sessions lost before login"] = self.load.sessions["broken"]
        unexpected = self._unexpected()
        found.counts["refused while the node was away"] = len(self.load.refusals) - len(unexpected)
        found.counts["put off at the greeting (421)"] = sum(r.is_put_off for r in unexpected)
        found.counts["refused else"] = len(self.refused())
        print(f"{found.report()}\n  after {time.monotonic() - self.began:.0f} s")
        assert not found.faults, "\n".join(found.faults[:20])
        assert not self.refused(), (
            f"a port was closed although the node was there: {self.refused()[:5]}; away (s):"
            f" {[(begin - self.began, end - self.began) for begin, end in self.away]}"
        )
        return found


@pytest.fixture
def seed() -> int:
    """What all chance comes from: CRASH_SEED of the environment, or a new one."""
    return int(os.environ.get("CRASH_SEED") or random.randrange(10**6))


@pytest.fixture
def rig(tmp_path: Path, seed: int) -> Iterator[Rig]:
    """A running node with a sink behind it; the load is ready and waits for `start`."""
    yield from _rig(tmp_path, seed, http_port=None)


@pytest.fixture
def mixed(tmp_path: Path, seed: int) -> Iterator[Rig]:
    """A `rig` with the API, and a load of every kind."""
    yield from _rig(tmp_path, seed, http_port=free_ports(1)[0])


def _rig(directory: Path, seed: int, *, http_port: int | None) -> Iterator[Rig]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc (Linux)")
    sink = SinkProcess(directory / "journal")
    sink.start()
    http = f'\n[http]\naddress = "{HOST}:{http_port}"\n' if http_port else ""
    node = Node(directory / "node", SETTINGS.format(port=sink.port) + http, WORKERS)
    load = None
    try:
        node.set_up()
        node.start()
        api = None
        if http_port is not None:
            made = ("api-key", "add", "--scope", "send", "--account", node.account)
            api = (http_port, node.json(*made)["key"])
        load = Load(node, seed, http=api)
        children = WORKERS + (api is not None)
        yield Rig(node, sink, load, seed, random.Random(seed), processes=children)
    finally:
        if load is not None:
            load.abandon()
        node.stop()
        sink.kill()
