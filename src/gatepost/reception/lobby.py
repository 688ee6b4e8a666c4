"""Whose connection a load balancer passes on: it says so first, by a PROXY header, or is not let in (ADR 38).

Whoever waits here counts nowhere yet, so this has bounds of its own: in time, in octets, in number.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from gatepost.net.address import SocketAddress
from gatepost.net.transport import Connection, ConnectionLostError, DeadlineError
from gatepost.reception.crowd import Crowd, Guest
from gatepost.wire.proxy_header import NoProxyHeaderError, ProxyHeader, read_proxy_header

_log = logging.getLogger(__name__)

#: Seconds for the whole header: "at least 3 seconds to cover a TCP retransmit" (specification, §2).
_PATIENCE: Final = 5.0
#: So many connections of a worker wait for their headers: as many as it has room for, within these bounds.
_FEWEST: Final = 16
_MOST: Final = 256


@dataclass(slots=True)
class Lobby:
    """Where connections of balancers wait until they have said whose they are. One for each worker.

    `room` returns how many connections more there may be; `note` hears of each that is closed for want of a
    header.
    """

    room: Callable[[], int]
    note: Callable[[], None]
    _waiting: Crowd = field(default_factory=Crowd)

    async def introduce(self, connection: Connection) -> bool:
        """Have the connection's `peer` be whom its header names; False, and the connection is gone,
        where there is no header. Where all places are taken, one of the balancer that has most gives way.
        """
        balancer = connection.peer
        guest = Guest(balancer.host, _may_go, connection.abort)
        most = max(_FEWEST, min(_MOST, self.room()))
        if len(self._waiting) >= most and not self._waiting.make_room(balancer.host):
            _log.warning("%s: too many connections whose PROXY header has not come", balancer)
            self.note()
            connection.abort()
            return False
        self._waiting.enter(guest)
        connection.deadline = asyncio.get_running_loop().time() + _PATIENCE
        try:
            header = await _header_of(connection)
        except (NoProxyHeaderError, DeadlineError) as problem:
            _log.warning(
                "%s is in proxy_protocol_from, and sent no PROXY header: %s",
                balancer,
                _why(problem),
            )
            self.note()
            header = None
        except ConnectionLostError:
            header = None  # a health check that only connects; or it had to give way
        finally:
            self._waiting.leave(guest)
        if header is None:
            connection.abort()
            return False
        connection.deadline = None
        if header.host:
            connection.peer = SocketAddress(header.host, header.port)
        return True


def is_of(host: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Tell whether the address of a peer is in one of some networks."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)


async def _header_of(connection: Connection) -> ProxyHeader | None:
    """Read a header and not an octet more; None where the peer leaves before it is there.

    Raises:
        NoProxyHeaderError: something else came.
        ConnectionLostError, DeadlineError: nothing more comes.

    """
    octets = b""
    while more := await connection.read():
        octets += more
        if header := read_proxy_header(octets):
            connection.give_back(octets[header.size :])
            return header
    if octets:
        raise NoProxyHeaderError("it ended in the midst of it")
    return None


def _why(problem: Exception) -> str:
    return f"none within {_PATIENCE:.0f} s" if isinstance(problem, DeadlineError) else str(problem)


def _may_go() -> bool:
    """Tell that whoever has not said anything yet may be sent away."""
    return True
