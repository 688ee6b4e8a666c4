"""One connection of a probe: the client session, a clock, and a transcript of what was said."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gatepost.net.connection import Connection, ConnectionLostError, DeadlineError
from gatepost.operate.probe_seen import Breach, Mark, Stage, Step
from gatepost.operate.probe_transcript import Exchange, Transcript, Veil
from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import Event, NeedOctets, Phase
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.reply_reader import ServerReply

STAGES: Final[Mapping[Phase, Stage]] = {
    Phase.GREETING: Stage.GREETING,
    Phase.HELLO: Stage.HELLO,
    Phase.START_TLS: Stage.STARTTLS,
    Phase.AUTH: Stage.LOGIN,
    Phase.MAIL: Stage.MAIL,
    Phase.RCPT: Stage.RCPT,
    Phase.RESET: Stage.RESET,
}
_VERBS: Final[Mapping[str, Stage]] = {
    "": Stage.GREETING,
    "EHLO": Stage.HELLO,
    "HELO": Stage.HELLO,
    "STARTTLS": Stage.STARTTLS,
    "AUTH": Stage.LOGIN,
    "*": Stage.LOGIN,
    "MAIL": Stage.MAIL,
    "RCPT": Stage.RCPT,
    "RSET": Stage.RESET,
    "QUIT": Stage.QUIT,
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each step may take, in seconds; `total` bounds the whole probe.

    Shorter than what a mail server has (RFC 5321 §4.5.3.2): somebody is waiting for the answer.
    `silence` is after how long a port without greeting is tried with TLS.
    """

    total: float = 60.0
    dns: float = 8.0
    dial: float = 10.0
    silence: float = 2.0
    greeting: float = 30.0
    handshake: float = 12.0
    login: float = 30.0
    reply: float = 20.0
    goodbye: float = 2.0

    def of(self, phase: Phase) -> float:
        """Return how long to wait for what the session waits for."""
        return {
            Phase.GREETING: self.greeting,
            Phase.AUTH: self.login,
            Phase.QUIT: self.goodbye,
        }.get(phase, self.reply)


@dataclass(slots=True)
class Clock:
    """Time since the probe began, and when it must end (seconds of loop.time())."""

    patience: Patience = field(default_factory=Patience)
    start: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def now(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def since_start(self, at: float) -> float:
        """Return a time as seconds since the probe began."""
        return max(0.0, at - self.start)

    def until(self, seconds: float) -> float:
        """Return when a step must end that may take so long, and not longer than the whole."""
        return min(self.now() + seconds, self.start + self.patience.total)


class Talk:
    """One connection and its dialogue. `late`: the last wait ended by its deadline."""

    def __init__(
        self, connection: Connection, name: str, channel: Channel, clock: Clock, veil: Veil
    ) -> None:
        self.connection = connection
        self.session = ClientSession(name, channel=channel)
        self.transcript = Transcript(clock.now())
        self.late = False
        #: The latest exchange of each step.
        self.last: dict[Stage, Exchange] = {}
        self._clock = clock
        self._veil = veil

    @property
    def is_ready(self) -> bool:
        """Whether the session waits for a command."""
        return self.session.phase is Phase.READY

    async def next(self) -> Event:
        """Talk until the session has something to tell."""
        session, connection = self.session, self.connection
        while True:
            event = session.next_event()
            if octets := session.octets_to_send():
                is_login = session.phase is Phase.AUTH
                self.transcript.said(octets, self._clock.now(), is_login=is_login)
                connection.write(octets)
            if not isinstance(event, NeedOctets):
                return event
            connection.deadline = self._clock.until(self._clock.patience.of(session.phase))
            session.receive(await self._read())

    async def _read(self) -> bytes:
        try:
            octets = await self.connection.read()
        except ConnectionLostError:
            octets = b""
        except DeadlineError:
            self.late = True
            octets = b""
        now = self._clock.now()
        if octets:
            self.transcript.heard(octets, now)
        else:
            self.transcript.end(now)
        return octets

    def breach(self) -> Breach:
        """Return how the dialogue broke off, after it did."""
        if self.late:
            return Breach.LATE
        return Breach.GARBAGE if self.transcript.strange else Breach.LOST

    def steps(self) -> list[Step]:
        """Return what was said since the last time, as lines of the timeline."""
        steps: list[Step] = []
        for exchange in self.transcript.take():
            stage = _VERBS.get(exchange.verb, Stage.LOGIN)
            self.last[stage] = exchange
            if stage is Stage.LOGIN and steps and steps[-1].stage is Stage.LOGIN:
                steps[-1] = self._joined(steps[-1], exchange)
            else:
                steps.append(self._step(stage, exchange))
        return steps

    def _step(self, stage: Stage, exchange: Exchange) -> Step:
        reply = exchange.reply
        return Step(
            stage,
            self._clock.since_start(exchange.began),
            exchange.took,
            _mark(reply),
            self._veil.over(self._words(stage, exchange)),
            tuple(map(self._veil.over, _lines(exchange))),
        )

    def _joined(self, step: Step, exchange: Exchange) -> Step:
        mechanism = step.words.partition(":")[0]
        words = exchange.reply.words if exchange.reply else self._nothing()
        return Step(
            step.stage,
            step.began,
            step.took + exchange.took,
            _mark(exchange.reply),
            self._veil.over(f"{mechanism}: {words}"),
            (*step.lines, *map(self._veil.over, _lines(exchange))),
        )

    def _words(self, stage: Stage, exchange: Exchange) -> str:
        reply = exchange.reply
        if reply is None:
            return self._nothing()
        if stage is Stage.LOGIN:
            return f"{exchange.said.split(' ')[1]}: {reply.words}"
        if stage is Stage.HELLO and reply.code < 400:
            return ", ".join(filter(None, reply.lines[1:])) or "no extensions"
        return reply.words

    def _nothing(self) -> str:
        if self.transcript.strange:
            return "what came is not SMTP"
        return Breach.LATE.value if self.late else Breach.LOST.value


def _mark(reply: ServerReply | None) -> Mark:
    return Mark.NO if reply is None or reply.code >= 400 else Mark.FINE


def _lines(exchange: Exchange) -> list[str]:
    lines = [f"C: {exchange.said}"] if exchange.said else []
    if (reply := exchange.reply) is None:
        return lines
    last = len(reply.lines) - 1
    for number, text in enumerate(reply.lines):
        status = f"{reply.status} " if reply.status else ""
        lines.append(f"S: {reply.code}{' ' if number == last else '-'}{status}{text}")
    return lines
