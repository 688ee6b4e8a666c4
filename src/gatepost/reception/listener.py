"""Room 1: take connections, hear from a load balancer whose they are, count them, refuse those beyond the caps,
shake hands on 465.
"""

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Final

from gatepost.model.settings import Role
from gatepost.net.address import network_of
from gatepost.net.counters import ConnectionCount, Metric
from gatepost.net.transport import (
    Connection,
    ConnectionLostError,
    DeadlineError,
    Deadlines,
    Port,
    TlsFailedError,
    serve,
)
from gatepost.reception.converse import Conversation
from gatepost.reception.crowd import Guest
from gatepost.reception.desk import Desk, Door
from gatepost.reception.lobby import is_of
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.replies import Reply

_log = logging.getLogger(__name__)

_REFUSED: Final = {
    replies.TOO_MANY_CONNECTIONS: Metric.TOO_MANY,
    replies.OVERLOADED: Metric.OVERLOADED,
}


@dataclass(slots=True)
class Listener:
    """One open port of this worker, and the conversations that came in by it."""

    door: Door
    desk: Desk
    port: Port | None = None
    _conversations: set[Conversation] | None = None

    async def open(self, sock: socket.socket, deadlines: Deadlines) -> None:
        """Begin to accept."""
        self._conversations = set()
        farewell = farewell_of(self.door.role, replies.OVERLOADED)
        self.port = await serve(sock, self._welcome, deadlines=deadlines, farewell=farewell)

    async def stop(self, within: float) -> None:
        """Accept no more, let conversations end their transaction, at most `within` seconds."""
        if self.port is None or self._conversations is None:
            return
        self.port.stop_accepting()
        for conversation in list(self._conversations):
            conversation.stop()
        try:
            async with asyncio.timeout(within):
                await self.port.wait_empty()
        except TimeoutError:
            _log.warning("%d conversations were cut short", len(self.port))
        await self.port.stop()

    async def _welcome(self, connection: Connection) -> None:
        """Hold one connection from accept to close."""
        way = ""
        if self.door.balancers and is_of(connection.peer.host, self.door.balancers):
            way = connection.peer.host
            if not await self.desk.lobby.introduce(connection):
                return
        host = connection.peer.host
        crowd, load = self.desk.crowd, self.desk.counters.connection_opened(host)
        guest = Guest(network_of(host), _may_go, connection.abort, way)
        try:
            greeting = self._refusal(load, guest)
            if greeting:
                self.desk.counters.add(_REFUSED[greeting])
            if greeting and self.door.role is Role.SUBMISSIONS:
                # Words in clear are no TLS, and a handshake is what there are too many of.
                await connection.close()
                return
            if greeting is None:
                crowd.enter(guest)
                if not await self._shake_hands(connection):
                    return
            conversation = Conversation(connection, self.door, self.desk, greeting)
            guest.may_go, guest.give_way = conversation.may_give_way, conversation.give_way
            await self._hold(conversation)
        finally:
            crowd.leave(guest)
            self.desk.counters.connection_closed(host)

    def _refusal(self, load: ConnectionCount, guest: Guest) -> Reply | None:
        """Judge a new connection by how many there are on this node, itself included. Where there are too
        many in all, a stranger of a larger network gives way to it.
        """
        limits = self.desk.limits
        of_address = limits.connections_per_address
        of_network = max(limits.connections_per_network, of_address)
        if load.from_address > of_address or load.from_network > of_network:
            return replies.TOO_MANY_CONNECTIONS
        is_full = load.total > limits.connections
        is_overloaded = self.desk.counters.value(Metric.CONNECTIONS) > self.desk.capacity()
        if not (is_full or is_overloaded) or self.desk.crowd.make_room(guest.network, guest.way):
            return None
        return replies.TOO_MANY_CONNECTIONS if is_full else replies.OVERLOADED

    async def _shake_hands(self, connection: Connection) -> bool:
        """TLS from the first octet on 465; False when that failed, and the connection is gone."""
        if self.door.role is not Role.SUBMISSIONS:
            return True
        handshake = self.desk.limits.handshake.total_seconds()
        connection.deadline = asyncio.get_running_loop().time() + handshake
        try:
            await connection.start_tls(self.door.tls(), server_side=True)
        except (TlsFailedError, ConnectionLostError, DeadlineError) as end:
            _log.debug("%s: %s", connection.peer, end)
            connection.abort()
            return False
        return True

    async def _hold(self, conversation: Conversation) -> None:
        conversations = self._conversations
        if conversations is None:
            return
        conversations.add(conversation)
        try:
            await conversation.run()
        finally:
            conversations.discard(conversation)


def _may_go() -> bool:
    """Tell that whoever has not shaken hands yet may be sent away."""
    return True


def farewell_of(role: Role, reply: Reply) -> bytes:
    """Return what one hears who is not let in; nothing where TLS comes first: words in clear are none."""
    return b"" if role is Role.SUBMISSIONS else reply.octets
