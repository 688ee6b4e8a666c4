"""Accepting connections: a listening socket, one task per connection, an orderly end.

`Connection`, `Deadlines` and their exceptions are found here too: what a room needs to talk.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet

from gatepost.net.accepting import Accepting
from gatepost.net.address import SocketAddress, from_socket_name
from gatepost.net.connection import Connection, ConnectionLostError, DeadlineError
from gatepost.net.deadlines import Deadlines
from gatepost.net.tls_channel import TlsFailedError, TlsInfo

__all__ = [
    "Connection",
    "ConnectionLostError",
    "DeadlineError",
    "Deadlines",
    "Handler",
    "Port",
    "PortUnavailableError",
    "SocketAddress",
    "TlsFailedError",
    "TlsInfo",
    "bind",
    "serve",
]

Handler = Callable[[Connection], Coroutine[None, None, None]]

#: Connections that wait for `accept`, for as long as a reborn worker needs to start.
BACKLOG = 1024


class PortUnavailableError(Exception):
    """A listener's address cannot be had; the words say why, and the mend."""


class Port:
    """One listening socket and everybody who came in by it.

    A handler that returns, or raises, has its connection dropped: it closes it itself when it
    wants to take leave. What it raises is reported to the loop's exception handler, except that
    the peer is gone or too slow, which is everyday life.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Handler,
        deadlines: Deadlines,
        farewell: bytes = b"",
    ) -> None:
        self._loop = loop
        self._farewell = farewell
        self._handler = handler
        self._deadlines = deadlines
        self._accepting: Accepting | None = None
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.address = SocketAddress("", 0)

    @property
    def connections(self) -> AbstractSet[Connection]:
        """Those whose handlers are at work."""
        return set(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def stop_accepting(self) -> None:
        """Close our copy of the listening socket; who came in before stays."""
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None

    async def wait_empty(self) -> None:
        """Wait until the last handler has ended. The caller sets the bound."""
        await self._empty.wait()

    async def stop(self) -> None:
        """Stop accepting, cancel every handler, and wait for them."""
        self.stop_accepting()
        for task in list(self._tasks):
            task.cancel()
        await self.wait_empty()

    async def open(self, sock: socket.socket) -> None:
        """Begin to accept."""
        # Accepted sockets inherit it. asyncio sets it by itself only where `proto` is right.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.address = from_socket_name(sock.getsockname())
        self._accepting = Accepting(sock, self._protocol, backlog=BACKLOG, farewell=self._farewell)
        await self._accepting.open()

    def _protocol(self) -> Connection:
        return Connection(self._loop, self._deadlines, on_made=self._made)

    def _made(self, connection: Connection) -> None:
        task = self._loop.create_task(self._handler(connection))
        self._tasks[task] = connection
        self._empty.clear()
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        connection = self._tasks.pop(task)
        connection.abort()
        if not self._tasks:
            self._empty.set()
        if task.cancelled():
            return
        problem = task.exception()
        if problem is not None and not isinstance(
            problem, ConnectionLostError | DeadlineError | TlsFailedError
        ):
            self._loop.call_exception_handler(
                {"message": "a connection's handler failed", "exception": problem, "task": task}
            )


async def serve(
    sock: socket.socket, handler: Handler, *, deadlines: Deadlines, farewell: bytes = b""
) -> Port:
    """Accept connections from a bound TCP socket, each with a task of its own for `handler`.

    `farewell` is for those that cannot be let in because nothing more can be opened.
    """
    port = Port(asyncio.get_running_loop(), handler, deadlines, farewell)
    await port.open(sock)
    return port


def bind(address: SocketAddress, *, share: bool = False) -> socket.socket:
    """Return a bound TCP socket for `serve`; `share` lets several workers bind the same port.

    Raises:
        PortUnavailableError: in use, not permitted, or not an address of this machine.

    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # With the protocol named: asyncio leaves Nagle's algorithm on where it is 0.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
    except (OSError, OverflowError) as problem:
        sock.close()
        raise PortUnavailableError(_why_not(address, problem)) from None
    sock.setblocking(False)
    return sock


def _why_not(address: SocketAddress, problem: Exception) -> str:
    match problem:
        case PermissionError():
            mend = "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose a higher one"
        case socket.gaierror():
            mend = "write an IP address of this machine, not a name"
        case _ if "in use" in str(problem).lower():
            mend = "stop the program that holds it, or choose another port"
        case _:
            mend = "is it an address of this machine?"
    words = getattr(problem, "strerror", None) or str(problem)
    return f"cannot listen on {address}: {words.lower()} ({mend})"
