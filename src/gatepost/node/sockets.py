"""One listening socket per worker and listener, opened once and kept for life (decision 1); or taken
over from the program before us, or from systemd.

The kernel spreads connections over the sockets of a port (SO_REUSEPORT); a worker that dies
leaves its socket, and what waits in it, to its successor: no connection is refused.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gatepost.model.settings import HttpSettings, ListenerSettings
from gatepost.net.address import parse_socket_address
from gatepost.net.transport import BACKLOG, PortUnavailableError, bind
from gatepost.node.handover import Inheritance

_HTTP_BACKLOG: Final = 128


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
            http.listen(_HTTP_BACKLOG)
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
