"""A program hands its ports over to the one that takes its place (ADR 22).

The former starts the new one with everything open that must never close: listening sockets (closing
one would reset who waits in it), the lock on the state directory, and handles of its workers. The
new one says that it serves, and the former ends; or it does not, and the former goes on. Sockets
come from systemd in the same way (sd_listen_fds(3)).
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from gatepost.net.address import SocketAddress, from_socket_name

#: No setting of ours begins so: those begin with GATEPOST_.
_VARIABLE: Final = "_GATEPOST_HANDED_OVER"
#: Seconds within which a successor must serve.
PATIENCE: Final = 60.0
_READY: Final = b"ready"
_FIRST_LISTEN_FD: Final = 3  # SD_LISTEN_FDS_START


@dataclass(frozen=True, slots=True)
class Former:
    """A worker of the program before us: its name, and what tells when it has ended (pidfd)."""

    name: str
    handle: int

    def has_ended(self) -> bool:
        """Tell whether it has."""
        poll = select.poll()
        poll.register(self.handle, select.POLLIN)
        return bool(poll.poll(0))


@dataclass(slots=True)
class Inheritance:
    """What was open when we began. `lock` and `pipe` only from a program of ours."""

    sockets: list[socket.socket] = field(default_factory=list)
    lock: int | None = None
    pipe: socket.socket | None = None
    former: list[Former] = field(default_factory=list)
    #: Workers that had died already, and whose leases nobody has freed yet.
    dead: list[str] = field(default_factory=list)
    #: Numbers of sockets that the service manager keeps open: who waits there waits for the next start.
    kept: frozenset[int] = frozenset()

    def take(self, address: SocketAddress) -> list[socket.socket]:
        """Return the sockets that listen on an address; nobody else gets them."""
        fits = [sock for sock in self.sockets if from_socket_name(sock.getsockname()) == address]
        self.sockets = [sock for sock in self.sockets if sock not in fits]
        return fits

    def close_rest(self) -> None:
        """Close sockets that no listener wanted."""
        for sock in self.sockets:
            sock.close()
        self.sockets = []

    def say_ready(self) -> None:
        """Tell our predecessor that it may go."""
        if self.pipe is not None:
            with contextlib.suppress(OSError):
                self.pipe.send(_READY)
            self.pipe.close()
            self.pipe = None


def inherit() -> Inheritance:
    """Return what we were started with, and see to it that no child of ours believes it is its."""
    words = os.environ.pop(_VARIABLE, "")
    if words:
        given = json.loads(words)
        for number in (given["lock"], given["pipe"], *given["sockets"]):
            os.set_inheritable(number, False)
        former = [Former(each["name"], each["handle"]) for each in given["former"]]
        for each in former:
            os.set_inheritable(each.handle, False)
        return Inheritance(
            [socket.socket(fileno=number) for number in given["sockets"]],
            given["lock"],
            socket.socket(fileno=given["pipe"]),
            former,
            list(given["dead"]),
            frozenset(given.get("kept", ())),
        )
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return Inheritance()
    numbers = range(_FIRST_LISTEN_FD, _FIRST_LISTEN_FD + int(count))
    for number in numbers:
        os.set_inheritable(number, False)
    return Inheritance(
        [socket.socket(fileno=number) for number in numbers], kept=frozenset(numbers)
    )


class Successor:
    """The program that is to take our place: started, and watched until it serves or fails."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        lock: int,
        former: Sequence[Former],
        dead: Sequence[str],
        kept: Collection[int] = (),
    ) -> None:
        """Start it. Raises OSError."""
        self._pipe, theirs = socket.socketpair()
        self._pipe.setblocking(False)
        self._deadline = time.monotonic() + PATIENCE
        numbers = [sock.fileno() for sock in sockets]
        given = {
            "lock": lock,
            "pipe": theirs.fileno(),
            "sockets": numbers,
            "former": [{"name": each.name, "handle": each.handle} for each in former],
            "dead": dead,
            "kept": [number for number in numbers if number in kept],
        }
        handles = [each.handle for each in former]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves, as we were started
                command(sys.orig_argv, sys.argv),
                stdin=subprocess.DEVNULL,
                env={**os.environ, _VARIABLE: json.dumps(given)},
                pass_fds=(lock, theirs.fileno(), *numbers, *handles),
            )
        self.pid = self._process.pid

    def serves(self) -> bool | None:
        """Tell whether it serves, or has failed; None: not known yet."""
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            if self._pipe.recv(len(_READY)) == _READY:
                self._pipe.close()
                return True
        if self._process.poll() is None and time.monotonic() < self._deadline:
            return None
        return False

    def end(self) -> str:
        """End one that has failed; return what there is to say of it."""
        self._pipe.close()
        status = self._process.poll()
        if status is None:
            # Its workers end with it; what they were about to do is safe in the store.
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            return f"it did not serve within {PATIENCE:.0f} s"
        return f"it ended with status {status}"


def command(started: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return what starts the program on the disk as we were started: a script by its name, so that
    it may be a link that leads elsewhere now; else the interpreter with its arguments.

    Args:
        started: `sys.orig_argv`.
        arguments: `sys.argv`.

    """
    script = shutil.which(arguments[0]) if arguments[0] else None
    if script is not None and "-m" not in started:
        return [os.path.abspath(script), *arguments[1:]]  # noqa: PTH100 - links stay links
    return [sys.executable, *started[1:]]
