"""Calling out: one TCP connection to one address, from a chosen source address."""

import asyncio
import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Final

from gatepost.net.address import SocketAddress
from gatepost.net.connection import Connection
from gatepost.net.deadlines import Deadlines

#: Linux: the port is chosen at connect(), so that one source address serves many destinations
#: with the same port. Not in the socket module before 3.12.
_BIND_ADDRESS_NO_PORT: Final = 24

_WORDS: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer",
    errno.EADDRNOTAVAIL: "the source address is not one of this machine, or has no port left",
    errno.EACCES: "forbidden by this machine's firewall",
    errno.EPERM: "forbidden by this machine's firewall",
    errno.EMFILE: "too many open files",
    errno.EAFNOSUPPORT: "this machine does not speak that version of IP",
}


class DialFailedError(Exception):
    """No connection. `reason` is short and safe to show; `address` is the one that was called."""

    def __init__(self, address: SocketAddress, reason: str) -> None:
        super().__init__(f"{address}: {reason}")
        self.address = address
        self.reason = reason


class SourceMissingError(DialFailedError):
    """This machine does not have the source address that was asked for; nobody was called."""


async def dial(
    address: SocketAddress,
    *,
    source: str | None = None,
    timeout: float,  # noqa: ASYNC109 - part of what every caller must decide
    deadlines: Deadlines,
) -> Connection:
    """Connect to one address (an IP, not a name) within `timeout` seconds.

    Args:
        address: whom to call.
        source: our own IP address to call from; None leaves it to the system.
        timeout: for the TCP handshake, in seconds.
        deadlines: the sweeper that will watch the connection.

    Raises:
        DialFailedError: there is no connection, for the reason given.
        SourceMissingError: this machine does not have `source`.

    """
    loop = asyncio.get_running_loop()
    sock = _socket(address, source)
    try:
        async with asyncio.timeout(timeout):
            await loop.sock_connect(sock, (address.host, address.port))
        _, connection = await loop.create_connection(lambda: Connection(loop, deadlines), sock=sock)
    except TimeoutError:
        sock.close()
        raise DialFailedError(address, "no answer") from None
    except OSError as problem:
        sock.close()
        raise DialFailedError(address, _words(problem)) from None
    except BaseException:
        sock.close()
        raise
    return connection


def happy_order(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return IP addresses with the families taking turns, the first one's family first.

    So that one family that leads nowhere costs one attempt, not all ("happy eyeballs" without
    their race). Within a family the order given stays (RFC 5321 §5.1).
    """
    if not addresses:
        return ()
    first_is_6 = ":" in addresses[0]
    ours = [a for a in addresses if (":" in a) == first_is_6]
    others = [a for a in addresses if (":" in a) != first_is_6]
    turns = chain.from_iterable(zip_longest(ours, others))
    return tuple(address for address in turns if address is not None)


def _socket(address: SocketAddress, source: str | None) -> socket.socket:
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError:
        raise DialFailedError(address, "not an IP address") from None
    if source is not None and (":" in source) != (version == 6):
        raise DialFailedError(address, f"the source address {source} is of the other version of IP")
    try:
        sock = socket.socket(
            socket.AF_INET6 if version == 6 else socket.AF_INET,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
        )
    except OSError as problem:
        raise DialFailedError(address, _words(problem)) from None
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            _bind(sock, source)
    except OSError as problem:
        sock.close()
        if problem.errno == errno.EADDRNOTAVAIL:
            raise SourceMissingError(
                address, f"the source address is not one of this machine: {source}"
            ) from None
        raise DialFailedError(address, _words(problem)) from None
    return sock


def has_address(address: str) -> bool:
    """Tell whether this machine has an IP address that connections can come from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            _bind(sock, address)
    except OSError:
        return False
    return True


def _bind(sock: socket.socket, source: str) -> None:
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


def _words(problem: OSError) -> str:
    return _WORDS.get(problem.errno or 0) or (problem.strerror or str(problem)).lower()
