"""Machines on one machine: network namespaces with a bridge between nodes and their database, and
another between nodes and the rest of the world. Needs root and iproute2; leaves nothing behind.
"""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.programs import need, need_root, no_rights, run

#: The two networks, by what is on them; 198.18.0.0/15 is for tests of this kind (RFC 2544).
DATABASE_NET: Final = "198.18.1"
OUTER_NET: Final = "198.18.2"
_CLONE_NEWNET: Final = 0x40000000
_OURS: Final = re.compile(r"gp(\d+)-\w+")


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace. `number` is the last part of its addresses."""

    name: str
    number: int
    networks: tuple[str, ...]

    @property
    def inside(self) -> tuple[str, ...]:
        """What comes before a command that runs there."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def address(self, network: str) -> str:
        return f"{network}.{self.number}"


class Network:
    """All machines, and the hub with the bridges. `make` may fail for want of rights."""

    def __init__(self, nodes: int) -> None:
        self._ip = need("ip")
        both = (DATABASE_NET, OUTER_NET)
        self.hub = f"gp{os.getpid()}-hub"
        self.nodes = [self._machine(f"n{n}", n, both) for n in range(1, nodes + 1)]
        self.database = self._machine("db", 100, (DATABASE_NET,))
        #: Where clients and next hop are, and the test itself.
        self.outside = self._machine("out", 200, both)
        self.machines = [*self.nodes, self.database, self.outside]

    def _machine(self, role: str, number: int, networks: tuple[str, ...]) -> Machine:
        return Machine(f"gp{os.getpid()}-{role}", number, networks)

    def _do(self, *words: str) -> None:
        done = run([self._ip, *words])
        assert not done.returncode, f"ip {' '.join(words)}: {done.stdout}"

    def make(self) -> None:
        self.forget_the_dead()
        if run([self._ip, "netns", "add", self.hub]).returncode:
            no_rights("network namespaces cannot be made here")
        for network in (DATABASE_NET, OUTER_NET):
            self._do("-n", self.hub, "link", "add", _bridge(network), "type", "bridge")
            self._do("-n", self.hub, "link", "set", _bridge(network), "up")
        for machine in self.machines:
            self._do("netns", "add", machine.name)
            self._do("-n", machine.name, "link", "set", "lo", "up")
            for network in machine.networks:
                self._connect(machine, network)

    def _connect(self, machine: Machine, network: str) -> None:
        ours, theirs = _port(machine, network), f"to{network[-1]}"
        pair = ("link", "add", ours, "type", "veth", "peer", "name", theirs)
        self._do("-n", self.hub, *pair, "netns", machine.name)
        self._do("-n", self.hub, "link", "set", ours, "master", _bridge(network), "up")
        address = f"{machine.address(network)}/24"
        self._do("-n", machine.name, "address", "add", address, "dev", theirs)
        self._do("-n", machine.name, "link", "set", theirs, "up")

    def cut(self, machine: Machine, network: str) -> None:
        """Pull the plug: what is sent from now on is lost, and nobody hears of it."""
        self._do("-n", self.hub, "link", "set", _port(machine, network), "nomaster")

    def mend(self, machine: Machine, network: str) -> None:
        """Put the plug in again."""
        self._do("-n", self.hub, "link", "set", _port(machine, network), "master", _bridge(network))

    def remove(self) -> None:
        for name in (*(machine.name for machine in self.machines), self.hub):
            run([self._ip, "netns", "delete", name])

    def forget_the_dead(self) -> None:
        """Remove what a test run left that was killed."""
        for path in Path("/run/netns").glob("gp*-*"):
            found = _OURS.fullmatch(path.name)
            if found and not Path(f"/proc/{found[1]}").exists():
                run([self._ip, "netns", "delete", path.name])


def _bridge(network: str) -> str:
    return f"br{network[-1]}"


def _port(machine: Machine, network: str) -> str:
    return f"p{machine.number}n{network[-1]}"


@contextmanager
def within(machine: Machine) -> Iterator[None]:
    """Be on that machine: this thread, and threads and processes that it starts."""
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        with Path(f"/run/netns/{machine.name}").open("rb") as there:
            _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(file: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def network(nodes: int) -> Iterator[Network]:
    """Make the machines, be outside, and remove them."""
    need_root()
    made = Network(nodes)
    try:
        made.make()
        with within(made.outside):
            yield made
    finally:
        made.remove()
