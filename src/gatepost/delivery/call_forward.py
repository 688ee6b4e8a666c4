"""Would the server behind us take mail for this recipient? Asked while its sender still waits.

MAIL with the null reverse-path, RCPT, RSET, and never content: what Exim calls a callout forward and
Postfix recipient address verification. Sessions are kept for a while; a server that cannot be asked is
left alone for a while, and whoever asks hears at once that nobody knows.
"""

import asyncio
import logging
from collections import deque
from random import Random
from typing import Final

from gatepost.delivery.broken_tls import BrokenTls
from gatepost.delivery.link import Link, open_link
from gatepost.delivery.link_parts import Call, LinkFailedError, Surroundings
from gatepost.delivery.lookup import Lookup
from gatepost.delivery.routing import Routing
from gatepost.delivery.site import Kind, Site, Target, targets
from gatepost.identity.breaker import is_no_address
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.route import TlsMode, ViaLmtp, ViaSmtp
from gatepost.wire.smtp.client_events import Envelope, Fault, FaultKind, Phase
from gatepost.wire.smtp.reply_reader import Answered

_log = logging.getLogger(__name__)

#: Seconds that one question may take with all that belongs to it, and each step of it.
WHOLE: Final = 15.0
PATIENCE: Final = 10.0
PATIENCES: Final = dict.fromkeys(Phase, PATIENCE)
#: Sessions with one server at once, and questions that may wait for them (Postfix: 2 a second).
_SESSIONS: Final = 4
_WAITING: Final = 100
#: Addresses of one server that are tried.
_ADDRESSES: Final = 2
#: Seconds for which a session that nobody needs is kept, and a server left alone that did not answer.
_IDLE: Final = 20.0
_REST: Final = 30.0
#: RFC 5321 §4.2.3, where no enhanced code says more: no such mailbox, not here, no such name.
_NO_MAILBOX: Final = frozenset({550, 551, 553})
_UNSAID: Final = "5.0.0"
#: Exchange Online says so of a recipient that its domain does not have.
_NO_SUCH_ADDRESS: Final = "5.4.1"


def takes(outcome: Outcome) -> bool | None:
    """Tell what a server's answer to RCPT says of the recipient: True: there is one, False: there is
    none; None: neither (for now, or it is about us, or about a mailbox that is full; or it was said to
    MAIL, to which some do not take the null reverse-path, for all that RFC 5321 §4.5.5 says).
    """
    if outcome.kind is OutcomeKind.DELIVERED:
        return True
    if outcome.answered is not Answered.RCPT:
        return None
    if outcome.status == _UNSAID:
        is_unknown = outcome.code in _NO_MAILBOX
    else:
        is_unknown = is_no_address(outcome) or (
            outcome.status == _NO_SUCH_ADDRESS and outcome.code in _NO_MAILBOX
        )
    return False if is_unknown else None


class CallForward:
    """Asks the servers of local domains. One per worker."""

    def __init__(
        self, routing: Routing, lookup: Lookup, around: Surroundings, chance: Random
    ) -> None:
        self._routing = routing
        self._lookup = lookup
        self._around = around
        self._chance = chance
        self._lines: dict[str, _Line] = {}

    async def ask(self, forward_path: str, destination: str) -> bool | None:
        """Return whether the next hop takes a recipient; None where nobody can say now. Takes some
        seconds at most.
        """
        hop = self._routing.hop(forward_path, destination)
        if not isinstance(hop.via, ViaSmtp | ViaLmtp):
            return None
        found = self._lookup.known(hop) or await self._lookup.find(hop)
        if isinstance(found, Outcome):
            return None
        line = self._lines.get(found.key)
        if line is None:
            line = self._lines[found.key] = _Line(found, self._around, self._chance)
        line.site = found  # hosts as they are now
        return await line.ask(hop.forward_path)

    def close(self) -> None:
        """Drop all sessions."""
        for line in self._lines.values():
            line.close()


class _Line:
    """The sessions with one server."""

    def __init__(self, site: Site, around: Surroundings, chance: Random) -> None:
        self.site = site
        self._around = around
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._turns = asyncio.Semaphore(_SESSIONS)
        self._asking = 0
        self._idle: deque[tuple[float, Link]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._rests_until = 0.0
        self._broken_tls = BrokenTls(around.bounds)

    async def ask(self, forward_path: str) -> bool | None:
        """Return what `CallForward.ask` does."""
        if self._loop.time() < self._rests_until or self._asking >= _SESSIONS + _WAITING:
            return None
        self._asking += 1
        try:
            async with asyncio.timeout(WHOLE), self._turns:
                return takes(await self._outcome(forward_path))
        except (LinkFailedError, TimeoutError) as trouble:
            self._rests_until = self._loop.time() + _REST
            words = str(trouble) or "it does not answer in time"
            _log.warning("%s is not asked for recipients for a while: %s", self.site.key, words)
            return None
        finally:
            self._asking -= 1

    async def _outcome(self, forward_path: str) -> Outcome:
        envelope = Envelope("", (forward_path,), utf8=not forward_path.isascii())
        while True:
            kept = self._take()
            link = kept or await self._open()
            try:
                (verdict,) = await link.rehearsed(envelope)
                outcome = link.outcome(verdict)
            except BaseException:
                link.abort()
                raise
            if link.is_usable:
                self._keep(link)
            else:
                link.abort()
            is_lost = isinstance(verdict, Fault) and verdict.kind is FaultKind.LOST
            if kept is None or not is_lost:  # a kept session may have ended as we began to speak
                return outcome

    async def _open(self) -> Link:
        """Return a new session. Raises LinkFailedError."""
        failure: LinkFailedError | None = None
        for target in targets(self.site.hosts, self._chance, _ADDRESSES):
            try:
                return await self._dial(target)
            except LinkFailedError as this:
                failure = failure or this
        raise failure or LinkFailedError(Outcome(OutcomeKind.DEFERRED))

    async def _dial(self, target: Target) -> Link:
        site = self.site
        call = Call(target, None, self._around.ourselves.hostname)
        use_tls = site.kind is Kind.SMTP and site.tls is not TlsMode.NEVER
        if use_tls and site.tls is TlsMode.OPPORTUNISTIC:
            use_tls = not self._broken_tls.gets_clear(site.key, target.address, self._loop.time())
        try:
            return await open_link(site, call, self._around, [], use_tls=use_tls)
        except LinkFailedError as failure:
            if not failure.tls_only:
                raise
        link = await open_link(site, call, self._around, [], use_tls=False)
        self._broken_tls.note(site.key, target.address, self._loop.time())
        return link

    # -- sessions that wait for the next question

    def _take(self) -> Link | None:
        """Return the one that was busy last."""
        while self._idle:
            _, link = self._idle.pop()
            if link.is_usable:
                return link
            link.abort()
        return None

    def _keep(self, link: Link) -> None:
        self._idle.append((self._loop.time() + _IDLE, link))
        if self._timer is None:
            self._timer = self._loop.call_later(_IDLE, self._send_home)

    def _send_home(self) -> None:
        """Say goodbye where nobody has asked for a while."""
        self._timer = None
        while self._idle and self._idle[0][0] <= self._loop.time():
            task = self._loop.create_task(self._idle.popleft()[1].close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        if self._idle:
            self._timer = self._loop.call_at(self._idle[0][0], self._send_home)

    def close(self) -> None:
        """Drop all that are idle."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            self._idle.pop()[1].abort()
