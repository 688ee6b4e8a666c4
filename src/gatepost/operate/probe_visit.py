"""The probe's visit to one port: from the TCP handshake to QUIT, never as far as DATA."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gatepost.net.address import SocketAddress
from gatepost.net.connection import Connection
from gatepost.net.deadlines import Deadlines
from gatepost.net.dialer import DialFailedError, dial, happy_order
from gatepost.operate.probe_login import Login, begin, refused
from gatepost.operate.probe_seen import (
    SUBMISSIONS,
    Breach,
    Broken,
    LoginSeen,
    Mark,
    PortSeen,
    RehearsalSeen,
    Stage,
    Step,
    Unreached,
)
from gatepost.operate.probe_talk import STAGES, Clock, Talk
from gatepost.operate.probe_tls import (
    NOT_TLS,
    Strictness,
    looser,
    prepare,
    shake_hands,
    tls_seen,
    tls_words,
)
from gatepost.operate.probe_transcript import Veil
from gatepost.wire.smtp.client_events import (
    Ended,
    Envelope,
    Event,
    LoggedIn,
    LoginRefused,
    Ready,
    TlsAccepted,
    TlsRefused,
)
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.reply_reader import ServerReply


@dataclass(frozen=True, slots=True)
class Visit:
    """What to do at a port. `envelope` None: no rehearsal; `login` None: none.

    `unasked_rehearsal`: the envelope follows from the login alone, and is tried only after it.
    """

    host: str
    addresses: Sequence[str]
    port: int
    login: Login | None = None
    envelope: Envelope | None = None
    unasked_rehearsal: bool = False
    authorities: Path | None = None


async def visit(what: Visit, clock: Clock) -> PortSeen:
    """Return what was seen of the port. Nothing that a server does raises."""
    prepare(what.authorities)
    visitor = _Visitor(what, clock)
    try:
        async with asyncio.timeout_at(clock.start + clock.patience.total + 1):
            await visitor.go()
    except TimeoutError:
        visitor.broke(Stage.CONNECT, Breach.LATE)
    finally:
        visitor.leave_all()
    return visitor.seen


class _Visitor:
    def __init__(self, what: Visit, clock: Clock) -> None:
        self.seen = PortSeen(what.port, implicit=what.port == SUBMISSIONS)
        self._what = what
        self._clock = clock
        secret = what.login.password.reveal() if what.login else ""
        self._veil = Veil(what.login.username if what.login else "", secret)
        self._deadlines = Deadlines(interval=0.1)
        self._made: list[Connection] = []
        self._reached: SocketAddress | None = None

    # -- what is kept

    def _note(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of PortSeen
        self.seen = replace(self.seen, **changes)

    def _step(self, stage: Stage, began: float, mark: Mark, words: str) -> None:
        clock = self._clock
        step = Step(stage, clock.since_start(began), clock.now() - began, mark, words)
        self._note(steps=(*self.seen.steps, step))

    def _keep(self, talk: Talk) -> None:
        self._note(steps=(*self.seen.steps, *talk.steps()))

    def broke(self, stage: Stage, breach: Breach, words: str = "") -> None:
        """Note that the dialogue ended early, unless that is noted already."""
        if self.seen.broken is None:
            self._note(broken=Broken(stage, breach, words=words))

    def _ended(self, talk: Talk, event: Event, stage: Stage) -> None:
        """Note how a dialogue ended that should have gone on."""
        self._keep(talk)
        if talk.transcript.strange and self.seen.greeting is None:
            self._note(strange=talk.transcript.strange)
        if isinstance(event, Ended) and not isinstance(event.cause, ServerReply):
            stage = STAGES.get(event.cause.phase, stage)
            self.broke(stage, talk.breach(), event.cause.text)
        elif isinstance(event, Ended) and isinstance(event.cause, ServerReply):
            self._note(broken=self.seen.broken or Broken(stage, Breach.REFUSED, event.cause))
        else:
            self.broke(stage, talk.breach())

    def leave_all(self) -> None:
        """Drop every connection that is left."""
        for connection in self._made:
            connection.abort()

    # -- the way

    async def go(self) -> None:
        """Take every step as far as it goes."""
        talk = await self._arrive()
        if talk is not None and (talk := await self._secure(talk)) is not None:
            self._note(mechanisms=talk.session.offers.mechanisms)
            await self._log_in(talk)
            await self._rehearse(talk)
            await self._leave(talk)

    async def _arrive(self) -> Talk | None:
        """Connect; where the greeting comes in clear, hear it and say EHLO."""
        talk = await self._call()
        if talk is None or self.seen.implicit:
            return talk
        began = self._clock.now()
        hello = asyncio.ensure_future(talk.next())
        try:
            await asyncio.wait({hello}, timeout=self._clock.patience.silence)
            if not (hello.done() or talk.transcript.has_heard) and await self._speaks_tls():
                words = "no greeting in clear; it speaks TLS from the first octet"
                self._step(Stage.GREETING, began, Mark.NOTE, words)
                self._note(implicit=True)
                talk.connection.abort()
                return await self._call(quiet=True)
            return talk if self._has_greeted(talk, await hello) else None
        finally:
            hello.cancel()

    async def _call(self, *, quiet: bool = False) -> Talk | None:
        """Return a new connection; `quiet`: it is not the first, and stays out of the timeline."""
        connection = await (self._dial_again() if quiet else self._dial())
        if connection is None:
            return None
        self._made.append(connection)
        host = connection.local.host
        # RFC 5321 §4.1.4: a client without a name says its address.
        name = f"[IPv6:{host}]" if ":" in host else f"[{host}]"
        channel = Channel.TLS if self.seen.implicit else Channel.CLEAR
        return Talk(connection, name, channel, self._clock, self._veil)

    async def _dial(self) -> Connection | None:
        for host in happy_order(self._what.addresses):
            address = SocketAddress(host, self._what.port)
            began = self._clock.now()
            try:
                connection = await self._dial_one(address)
            except DialFailedError as trouble:
                self._step(Stage.CONNECT, began, Mark.NO, f"{address}: {trouble.reason}")
                missed = Unreached(str(address), trouble.reason)
                self._note(unreached=(*self.seen.unreached, missed))
                continue
            self._reached = address
            self._note(address=str(address), is_loopback=ip_address(host).is_loopback)
            self._step(Stage.CONNECT, began, Mark.FINE, str(address))
            return connection
        return None

    async def _dial_again(self) -> Connection | None:
        if self._reached is None:
            return None
        began = self._clock.now()
        try:
            return await self._dial_one(self._reached)
        except DialFailedError as trouble:
            self._step(Stage.CONNECT, began, Mark.NO, f"a second time: {trouble.reason}")
            self.broke(Stage.CONNECT, Breach.LOST, "only one connection was allowed")
            return None

    async def _dial_one(self, address: SocketAddress) -> Connection:
        timeout = self._clock.until(self._clock.patience.dial) - self._clock.now()
        return await dial(address, timeout=max(0.01, timeout), deadlines=self._deadlines)

    async def _speaks_tls(self) -> bool:
        talk = await self._call(quiet=True)
        if talk is None:
            return False
        trouble = await self._shake(talk, Strictness.OUTDATED)
        talk.connection.abort()
        return trouble == ""

    def _has_greeted(self, talk: Talk, event: Event) -> bool:
        """Note greeting and EHLO; tell whether the dialogue goes on."""
        inside = talk.session.channel is Channel.TLS
        self._keep(talk)
        if (greeting := talk.last.get(Stage.GREETING)) is not None and greeting.reply:
            self._note(greeting=greeting.reply, greeting_took=greeting.took)
        if not isinstance(event, Ready):
            self._ended(talk, event, Stage.HELLO if talk.session.greeted else Stage.GREETING)
            return False
        hello = talk.last.get(Stage.HELLO)  # none where it was answered before it was said
        lines = hello.reply.lines[1:] if hello and hello.reply else ()
        self._note(**{"hello_tls" if inside else "hello": lines})
        return True

    # -- TLS

    async def _secure(self, talk: Talk) -> Talk | None:
        """Go over to TLS where there is TLS; None where the dialogue ends with that."""
        if not self.seen.implicit:
            if not talk.session.offers.starttls:
                return talk
            if not await self._ask_for_tls(talk):
                return talk if talk.is_ready else None
        began = self._clock.now()
        trouble = await self._shake(talk, Strictness.VERIFIED)
        if trouble == NOT_TLS and self._what.port == SUBMISSIONS and self.seen.implicit:
            self._step(Stage.HANDSHAKE, began, Mark.NO, "not TLS; trying in clear")
            return await self._in_clear_after_all()
        strictness = Strictness.VERIFIED
        if trouble:
            strictness = looser(trouble)
            self._step(Stage.HANDSHAKE, began, Mark.NO, trouble)
            began = self._clock.now()
            second = await self._once_more(strictness)
            if second is None:
                self._note(tls_trouble=trouble)
                return None
            talk = second
        self._note_tls(talk, began, trouble, strictness)
        return await self._inside(talk)

    async def _in_clear_after_all(self) -> Talk | None:
        self._note(implicit=False)
        talk = await self._call(quiet=True)
        if talk is None or not self._has_greeted(talk, await talk.next()):
            return None
        return await self._secure(talk)

    async def _ask_for_tls(self, talk: Talk) -> bool:
        talk.session.start_tls()
        event = await talk.next()
        self._keep(talk)
        match event:
            case TlsAccepted():
                if not talk.connection.unread:
                    return True
                self._note(tls_trouble="octets came in clear behind the reply to STARTTLS")
                talk.connection.abort()
                talk.session.receive(b"")
                talk.session.next_event()
            case TlsRefused(reply):
                self._note(starttls=reply)
            case _:
                self._ended(talk, event, Stage.STARTTLS)
        return False

    async def _shake(self, talk: Talk, strictness: Strictness) -> str:
        """Shake hands; return "" or why it failed."""
        talk.connection.deadline = self._clock.until(self._clock.patience.handshake)
        what = self._what
        shown = what.login.certificate if what.login else None
        return await shake_hands(talk.connection, strictness, what.host, what.authorities, shown)

    async def _once_more(self, strictness: Strictness) -> Talk | None:
        """Come back to the same point on a new connection, and shake hands less strictly."""
        talk = await self._call(quiet=True)
        if talk is None:
            return None
        if not self.seen.implicit:
            event = await talk.next()
            if not isinstance(event, Ready) or not talk.session.offers.starttls:
                return None
            talk.session.start_tls()
            if not isinstance(await talk.next(), TlsAccepted) or talk.connection.unread:
                return None
            talk.steps()  # they are in the timeline already
        return talk if await self._shake(talk, strictness) == "" else None

    def _note_tls(self, talk: Talk, began: float, trouble: str, strictness: Strictness) -> None:
        if (seen := tls_seen(talk.connection, trouble, strictness)) is not None:
            self._note(tls=seen)
            mark = Mark.NOTE if trouble else Mark.FINE
            self._step(Stage.HANDSHAKE, began, mark, tls_words(seen))

    async def _inside(self, talk: Talk) -> Talk | None:
        """Begin the dialogue inside TLS: the greeting where TLS came first, and EHLO."""
        talk.transcript.restart(self._clock.now(), greeted=not self.seen.implicit)
        if not self.seen.implicit:
            talk.session.tls_established()
        return talk if self._has_greeted(talk, await talk.next()) else None

    # -- login, rehearsal, goodbye

    async def _log_in(self, talk: Talk) -> None:
        login = self._what.login
        if login is None:
            return
        begun = begin(talk, login, self.seen, self._what.host)
        self._note(login=begun if begun.withheld else await self._hear_login(talk, begun))

    async def _hear_login(self, talk: Talk, begun: LoginSeen) -> LoginSeen:
        event = await talk.next()
        self._keep(talk)
        last = talk.last.get(Stage.LOGIN)
        match event:
            case LoggedIn():
                return replace(begun, reply=last.reply if last else None)
            case LoginRefused():
                return refused(begun, event)
            case Ended(ServerReply() as reply):
                return replace(begun, reply=reply)
            case _:
                self._ended(talk, event, Stage.LOGIN)
                return begun

    async def _rehearse(self, talk: Talk) -> None:
        envelope, login = self._what.envelope, self.seen.login
        if envelope is None or not talk.is_ready:
            return
        if login is not None and not login.accepted and login.withheld is None:
            return  # the refusal has been said; MAIL would only be refused as well
        if self._what.unasked_rehearsal and (login is None or not login.accepted):
            return
        talk.session.rehearse(envelope)
        await talk.next()
        self._keep(talk)
        said = {stage: talk.last.get(stage) for stage in (Stage.MAIL, Stage.RCPT)}
        mail, rcpt = said[Stage.MAIL], said[Stage.RCPT]
        mail_reply = mail.reply if mail else None
        # Behind a refused MAIL, RCPT is refused for that alone.
        is_taken = mail_reply is not None and mail_reply.code < 400
        rcpt_reply = rcpt.reply if rcpt and is_taken else None
        self._note(rehearsal=RehearsalSeen(mail_reply, rcpt_reply))
        if isinstance(ended := talk.session.next_event(), Ended) and mail_reply is None:
            self._ended(talk, ended, Stage.MAIL)

    async def _leave(self, talk: Talk) -> None:
        if talk.is_ready:
            talk.session.quit()
            await talk.next()
            self._keep(talk)
        await talk.connection.close()
