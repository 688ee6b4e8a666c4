"""One listening socket per worker and listener, opened once and kept for life (decision 1).

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

_HTTP_BACKLOG: Final = 128


@dataclass(frozen=True, slots=True)
class OpenListener:
    """A listener with one socket for each worker."""

    settings: ListenerSettings
    sockets: tuple[socket.socket, ...]


def open_listeners(listeners: Sequence[ListenerSettings], workers: int) -> list[OpenListener]:
    """Bind every listener's address, once for each worker, and listen.

    Raises:
        PortUnavailableError: an address is taken, unknown here, or forbidden; all sockets that
            were opened are closed again.

    """
    opened: list[OpenListener] = []
    try:
        for settings in listeners:
            address = parse_socket_address(settings.address)
            # SO_REUSEPORT alone would silently share a port with a stranger of the same user.
            with bind(address) as alone:
                alone.listen(1)
            sockets = tuple(bind(address, share=True) for _ in range(workers))
            opened.append(OpenListener(settings, sockets))
            for each in sockets:
                each.listen(BACKLOG)
    except OSError as problem:
        close_listeners(opened)
        words = f"cannot listen on {settings.address}: {problem.strerror or problem}"
        raise PortUnavailableError(
            f"{words}; stop the program that holds it, or choose another port"
        ) from None
    except PortUnavailableError:
        close_listeners(opened)
        raise
    return opened


def open_http(settings: HttpSettings) -> socket.socket:
    """Bind the HTTP listener, and listen.

    Raises:
        PortUnavailableError: the address is taken, unknown here, or forbidden.

    """
    sock = bind(parse_socket_address(settings.address))
    sock.listen(_HTTP_BACKLOG)
    return sock


def close_listeners(listeners: Sequence[OpenListener]) -> None:
    """Close them all."""
    for listener in listeners:
        for each in listener.sockets:
            each.close()
