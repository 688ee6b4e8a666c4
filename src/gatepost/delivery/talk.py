"""One client session over one connection: octets on their way, and a deadline for every wait.

RFC 5321 §4.5.3.2.
"""

import asyncio
from collections.abc import Callable, Sequence

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.link_parts import Call
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.net.connection import Connection, ConnectionLostError, DeadlineError
from gatepost.returns.outcome import Spoken, from_verdict
from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import Dialect, Event, NeedOctets, Phase, Verdict
from gatepost.wire.values import changed


class Talk:
    """What is said to one host, and what it says. `is_slow`: it has let a deadline pass."""

    __slots__ = ("_bounds", "_spoken", "call", "connection", "is_slow", "loop", "session")

    def __init__(
        self, connection: Connection, session: ClientSession, call: Call, bounds: Bounds
    ) -> None:
        self.connection = connection
        self.session = session
        self.call = call
        self.loop = asyncio.get_running_loop()
        self.is_slow = False
        self._bounds = bounds
        self._spoken: Spoken | None = None

    @property
    def spoken(self) -> Spoken:
        """Whom we speak to, and how."""
        if self._spoken is None:
            tls = self.connection.tls
            words = f"{tls.version} {tls.cipher}" if tls else ""
            target = self.call.target
            self._spoken = Spoken(target.name, str(target.address), words, self.call.source or "")
        return self._spoken

    def outcome(self, verdict: Verdict) -> Outcome:
        """Return what a verdict means."""
        outcome = from_verdict(verdict, self.spoken, slow=self.is_slow)
        if outcome.kind is not OutcomeKind.DELIVERED:
            return outcome
        reports = self.session.offers.dsn
        in_mailbox = self.session.dialect is Dialect.LMTP
        if not reports and not in_mailbox:
            return outcome
        return changed(outcome, reports=reports, in_mailbox=in_mailbox)

    def tls_established(self) -> None:
        """Forget what was said before the handshake; the session says EHLO again."""
        self.session.tls_established()
        self._spoken = None

    async def next(self) -> Event:
        """Return the next event, sending and receiving until there is one."""
        session, connection = self.session, self.connection
        awaited = None
        while True:
            if session.phase is Phase.AUTH:  # SCRAM computes for some 0.1 s
                event = await self.loop.run_in_executor(None, session.next_event)
            else:
                event = session.next_event()
            if octets := session.octets_to_send():
                connection.write(octets)
            if not isinstance(event, NeedOctets):
                return event
            # A whole reply has its time, not each octet of it: who drips shall not hold us.
            if awaited != session.awaited:
                awaited = session.awaited
                patience = self._bounds.patience[session.phase]
                connection.deadline = self.loop.time() + patience
            try:
                session.receive(await connection.read())
            except ConnectionLostError:
                session.receive(b"")
            except DeadlineError:
                self.is_slow = True
                session.receive(b"")
                connection.abort()

    async def send(self, pieces: Sequence[bytes], may_end: Callable[[], bool]) -> None:
        """Send the content; a loss in its midst is found by the following `next`."""
        session, connection = self.session, self.connection
        limit = self._bounds.piece
        waiting, has_waited = 0, False
        try:
            for octets in pieces:
                for begin in range(0, len(octets), limit):
                    piece = octets if len(octets) <= limit else octets[begin : begin + limit]
                    session.send_content(piece)
                    waiting += len(piece)
                    if waiting >= limit:
                        connection.write(session.octets_to_send())
                        patience = self._bounds.patience[Phase.CONTENT]
                        connection.deadline = self.loop.time() + patience
                        await connection.drain()
                        waiting = 0
                        has_waited = True
            if has_waited or connection.unread:
                await self._hear_early()
        except ConnectionLostError:
            return
        except DeadlineError:
            self.is_slow = True
            connection.abort()
            return
        if may_end():
            session.end_content()
        else:
            connection.abort()

    async def _hear_early(self) -> None:
        """Let the session know, before the final dot, what came before it: no "yes" to the message can
        be in that (RFC 5321 §4.1.1.4). Raises as `Connection.read`.
        """
        await asyncio.sleep(0)  # what came meanwhile may still be the kernel's
        while self.connection.unread:
            self.session.receive(await self.connection.read())
