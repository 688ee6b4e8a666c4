"""One listening socket per worker and listener, opened once and kept for life (decision 1); or taken
over from the program before us, or from systemd.

The kernel spreads connections over the sockets of a port (SO_REUSEPORT); a worker that dies
leaves its socket, and what waits in it, to its successor: no connection is refused.
"""

import contextlib
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gatepost.model.settings import HttpSettings, ListenerSettings
from gatepost.net.accepting import turn_away
from gatepost.net.address import parse_socket_address
from gatepost.net.transport import BACKLOG, PortUnavailableError, bind
from gatepost.node.handover import Inheritance
from gatepost.reception.listener import farewell_of
from gatepost.wire.smtp import replies

HTTP_BACKLOG: Final = 128
#: What a client of the HTTP port hears that is not let in.
HTTP_FAREWELL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class OpenListener:
    """A listener with one socket for each worker; with others where they were taken over."""

    settings: ListenerSettings
    sockets: tuple[socket.socket, ...]

    def shares(self, worker: int, workers: int) -> set[int]:
        """Return the numbers of the sockets that one of so many workers serves. Each socket is
        served by somebody, else who waits in it would wait for ever.
        """
        count = len(self.sockets)
        return {*range(worker, count, workers), worker % count}


def open_listeners(
    listeners: Sequence[ListenerSettings], workers: int, inherited: Inheritance
) -> list[OpenListener]:
    """Bind every listener's address, once for each worker, unless it is open already. Nobody is let
    in before `listen`.

    Raises:
        PortUnavailableError: an address is taken, unknown here, or forbidden; all sockets that
            were opened are closed again.

    """
    opened: list[OpenListener] = []
    try:
        for settings in listeners:
            address = parse_socket_address(settings.address)
            sockets = inherited.take(address)
            if not sockets:
                # SO_REUSEPORT alone would silently share a port with a stranger of the same user.
                with bind(address) as alone:
                    alone.listen(1)
            if not sockets or sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
                # Never fewer than there are: closing one resets who waits in it.
                missing = range(workers - len(sockets))
                sockets += [bind(address, share=True) for _ in missing]
            opened.append(OpenListener(settings, tuple(sockets)))
    except OSError as problem:
        close_listeners(opened)
        raise _unavailable(settings.address, problem) from None
    except PortUnavailableError:
        close_listeners(opened)
        raise
    return opened


def open_http(settings: HttpSettings, inherited: Inheritance) -> socket.socket:
    """Bind the HTTP listener, unless it is open already. Nobody is let in before `listen`.

    Raises:
        PortUnavailableError: the address is taken, unknown here, or forbidden.

    """
    address = parse_socket_address(settings.address)
    found = inherited.take(address)
    return found[0] if found else bind(address)


def listen(listeners: Sequence[OpenListener], http: socket.socket | None) -> None:
    """Let clients in: they wait until the workers are there.

    Raises:
        PortUnavailableError: somebody else was faster.

    """
    address = ""
    try:
        for listener in listeners:
            address = listener.settings.address
            for each in listener.sockets:
                each.listen(BACKLOG)
        if http is not None:
            http.listen(HTTP_BACKLOG)
    except OSError as problem:
        raise _unavailable(address, problem) from None


def _unavailable(address: str, problem: OSError) -> PortUnavailableError:
    words = f"cannot listen on {address}: {problem.strerror or problem}"
    return PortUnavailableError(f"{words}; stop the program that holds it, or choose another port")


def close_listeners(listeners: Sequence[OpenListener]) -> None:
    """Close them all."""
    for listener in listeners:
        for each in listener.sockets:
            each.close()


def close(listeners: Sequence[OpenListener], http: socket.socket | None) -> None:
    """Close the ports."""
    close_listeners(listeners)
    if http is not None:
        http.close()


def dismiss(
    listeners: Sequence[OpenListener], http: socket.socket | None, kept: Collection[int]
) -> None:
    """Say 421, or 503, to all who wait at the ports."""
    for sock, words in _doors(listeners, http, kept):
        with contextlib.suppress(OSError):
            turn_away(sock, words)


def close_doors(
    listeners: Sequence[OpenListener], http: socket.socket | None, kept: Collection[int]
) -> None:
    """Close ports at which nobody else accepts: who has connected hears why, who connects later is
    refused by the system.
    """
    for sock, words in _doors(listeners, http, kept):
        with contextlib.suppress(OSError), sock:
            sock.listen(0)  # hardly anybody may queue up between the last look and the end
            turn_away(sock, words)


def _doors(
    listeners: Sequence[OpenListener], http: socket.socket | None, kept: Collection[int]
) -> Iterator[tuple[socket.socket, bytes]]:
    """Return sockets and words of farewell, but of those that the service manager keeps (`kept`)."""
    for listener in listeners:
        words = farewell_of(listener.settings.role, replies.STOPPING)
        for sock in listener.sockets:
            if sock.fileno() not in kept:
                yield sock, words
    if http is not None and http.fileno() not in kept:
        yield http, HTTP_FAREWELL
