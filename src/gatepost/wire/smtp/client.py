"""The dialogue, client side: SMTP (RFC 5321) and LMTP (RFC 2033), sans-IO.

Give it octets with `receive`, take events with `next_event`, say what is wanted with `begin`,
`send_content`, `start_tls`, `log_in`, `quit`, and send what `octets_to_send` returns. Commands
go out in one flight where the server offers PIPELINING (RFC 2920), one by one where not; the
caller does not notice. It owns no socket and no clock: `phase` says what is waited for, and the
caller knows how long (RFC 5321 §4.5.3.2).

Whatever happens inside a transaction, `TransactionEnded` comes first, with one verdict for each
forward-path; then `Ended`, if the session is over too.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from gatepost.wire.sasl.exchange import ChannelFacts, ClientCredentials
from gatepost.wire.smtp.client_events import (
    ContentWanted,
    Dialect,
    Ended,
    Envelope,
    Event,
    Fault,
    FaultKind,
    LoggedIn,
    LoginRefused,
    NeedOctets,
    Phase,
    Ready,
    TlsAccepted,
    TlsRefused,
    TransactionEnded,
    Verdict,
)
from gatepost.wire.smtp.client_login import WITHOUT_FACTS, Login, choose_login
from gatepost.wire.smtp.client_verdicts import Verdicts
from gatepost.wire.smtp.extensions import Channel, Offers, read_offers
from gatepost.wire.smtp.login_veil import LoginVeil
from gatepost.wire.smtp.outgoing_envelope import cannot_carry, commands
from gatepost.wire.smtp.reply_reader import (
    Answered,
    ReplyFault,
    ReplyReader,
    ServerReply,
    answering,
)
from gatepost.wire.smtp.stuffing import DotStuffer, OneChunk

_NEED_OCTETS: Final = NeedOctets()
_CONTENT_WANTED: Final = ContentWanted()
#: RFC 5321 §4.2.1: 3yz asks for more. It makes sense in two places only.
_GO_ON: Final[Mapping[Phase, int]] = {Phase.AUTH: 334, Phase.DATA: 354}


class ClientSession:
    """One connection's dialogue.

    Args:
        name: ours, for EHLO (RFC 5321 §4.1.1.1).
        dialect: SMTP or LMTP.
        channel: TLS where it comes first ("implicit").

    """

    __slots__ = (
        "_early", "_ended", "_envelope", "_events", "_extended", "_heard", "_login", "_lost", "_name",
        "_out", "_reader", "_rehearsing", "_said", "_spoiled", "_stuffer", "_unsaid", "_veil",
        "_verdicts", "channel", "dialect", "greeted", "offers", "phase", "transactions",
    )  # fmt: skip

    def __init__(
        self, name: str, dialect: Dialect = Dialect.SMTP, channel: Channel = Channel.CLEAR
    ) -> None:
        self.channel = channel
        #: What the other side speaks.
        self.dialect = dialect
        self.phase = Phase.GREETING
        self.offers = Offers()
        #: True when the greeting was good.
        self.greeted = False
        #: How many transactions have begun.
        self.transactions = 0
        self._name = name
        self._reader = ReplyReader()
        self._out: list[bytes] = []
        self._events: deque[Event] = deque()
        #: Said and not yet replied to; not yet said.
        self._said: deque[Phase] = deque((Phase.GREETING,))
        self._unsaid: deque[tuple[Phase, bytes]] = deque()
        self._extended = True
        self._login: Login | None = None
        self._veil: LoginVeil | None = None
        self._ended: Ended | None = None
        self._lost = False
        #: The server may still hold a transaction that came to nothing: RSET goes first.
        self._spoiled = False
        #: The transaction ends with RSET, not with content.
        self._rehearsing = False
        self._envelope: Envelope | None = None
        self._verdicts = Verdicts(0)
        self._heard = 0
        #: Something was said before our final dot: no "yes" to the message can be in it.
        self._early = False
        self._stuffer: DotStuffer | OneChunk = DotStuffer()

    @property
    def awaited(self) -> tuple[Phase, int]:
        """What is waited for, and how many replies came: changes with each whole reply."""
        return self.phase, self._heard

    @property
    def unread(self) -> int:
        """How many octets were received that belong to no reply we asked for."""
        return len(self._reader)

    # -- octets in and out

    def receive(self, octets: bytes) -> None:
        """Take what the server sent; empty octets mean that the connection is gone."""
        if octets:
            self._reader.feed(octets)
        else:
            self._lost = True

    def octets_to_send(self) -> bytes:
        """Take what is to be said now."""
        out = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return out

    # -- events out

    def next_event(self) -> Event:
        """Work through what was received up to the next thing the caller must know."""
        while not self._events:
            if self._ended is not None:
                return self._ended
            if self.phase is Phase.CONTENT and not self._lost:
                return _NEED_OCTETS  # a reply before our dot waits for the dot
            reply = self._reader.next_reply()
            if reply is None:
                if not self._lost:
                    return _NEED_OCTETS
                self._end(Fault(FaultKind.LOST, self.phase, "connection lost"))
            elif isinstance(reply, ReplyFault):
                self._end(Fault(FaultKind.GARBAGE, self.phase, reply.value))
            else:
                self._hear(reply)
        return self._events.popleft()

    # -- what the caller wants

    def begin(self, envelope: Envelope) -> None:
        """Begin a transaction. `ContentWanted` or `TransactionEnded` follows.

        Raises:
            RuntimeError: not the moment.
            ValueError: a path holds what must not stand in a command.

        """
        self._open(envelope, rehearsing=False)

    def rehearse(self, envelope: Envelope) -> None:
        """Ask what would be said to an envelope: MAIL and RCPT, and RSET instead of DATA.

        `TransactionEnded` follows, with the server's reply to each forward-path. Raises as `begin`.
        """
        self._open(envelope, rehearsing=True)

    def _open(self, envelope: Envelope, *, rehearsing: bool) -> None:
        self._must_be_ready()
        flight = commands(envelope, self.offers, rehearsing=rehearsing)
        self.transactions += 1
        self._envelope = envelope
        self._verdicts = Verdicts(len(envelope.forward_paths))
        self._rehearsing = rehearsing
        if fault := cannot_carry(envelope, self.offers):
            self._settle_all(fault)
            return
        if self._spoiled:
            self._spoiled = False
            self._unsaid.append((Phase.RESET, b"RSET\r\n"))
        self._unsaid.extend(flight)
        self._speak()

    def send_content(self, octets: bytes) -> None:
        """Send a piece of content, line ends CRLF unless it is binary."""
        if self.phase is Phase.CONTENT:
            self._out.append(self._stuffer.stuff(octets))

    def end_content(self) -> None:
        """Send the final dot. `TransactionEnded` follows. Raises ValueError where binary content was
        not as long as its envelope said.
        """
        if self.phase is not Phase.CONTENT:
            return
        self._out.append(self._stuffer.end())
        self._early = len(self._reader) > 0
        count = len(self._verdicts.accepted) if self.dialect is Dialect.LMTP else 1
        self._said.extend([Phase.FINAL_DOT] * count)
        self.phase = Phase.FINAL_DOT

    def start_tls(self) -> None:
        """Ask for TLS (RFC 3207). `TlsAccepted` or `TlsRefused` follows."""
        self._must_be_ready()
        self._say(Phase.START_TLS, b"STARTTLS\r\n")

    def tls_established(self) -> None:
        """Forget all that was said before TLS (RFC 3207 §4.2); say EHLO again."""
        self.channel = Channel.TLS
        self.offers = Offers()
        self._reader = ReplyReader()
        self._say_hello()

    def log_in(self, username: str, password: str, mechanism: str | None = None) -> None:
        """Log in with a password, as `log_in_as` does; without facts there is no SCRAM."""
        self.log_in_as(ClientCredentials(username, password), mechanism=mechanism)

    def log_in_as(
        self,
        credentials: ClientCredentials,
        facts: ChannelFacts = WITHOUT_FACTS,
        *,
        mechanism: str | None = None,
    ) -> None:
        """Log in with the strongest mechanism both sides have, or the named one.

        `LoggedIn` or `LoginRefused` follows. With SCRAM, `next_event` may take some 0.1 s of
        computing when the first challenge has come.

        Raises:
            RuntimeError: the channel is clear, or it is not the moment.

        """
        self._must_be_ready()
        if self.channel is not Channel.TLS:
            msg = "no login in clear"
            raise RuntimeError(msg)
        self._login = choose_login(self.offers.mechanisms, mechanism, credentials, facts)
        if self._login is None:
            self._events.append(LoginRefused(None))
            return
        self._veil = self._login.veil
        self._say(Phase.AUTH, b"AUTH %b\r\n" % self._login.begin())

    def quit(self) -> None:
        """Say goodbye; `Ended` follows, though nobody need wait for it."""
        if self.phase is Phase.READY:
            self._say(Phase.QUIT, b"QUIT\r\n")

    # -- within: speaking

    def _must_be_ready(self) -> None:
        if self.phase is not Phase.READY:
            msg = f"not the moment: {self.phase.name}"
            raise RuntimeError(msg)

    def _say(self, phase: Phase, octets: bytes) -> None:
        self._out.append(octets)
        self._said.append(phase)
        self.phase = self._said[0]

    def _speak(self) -> None:
        """Say what may be said now: all in one flight, or the next command."""
        if self.offers.pipelining:
            self._out.append(b"".join([octets for _, octets in self._unsaid]))
            self._said.extend([phase for phase, _ in self._unsaid])
            self._unsaid.clear()
            self.phase = self._said[0]
        elif self._unsaid and not self._said:
            self._say(*self._unsaid.popleft())

    def _say_hello(self) -> None:
        verb = "EHLO" if self._extended else "HELO"
        if self.dialect is Dialect.LMTP:
            verb = "LHLO"
        self._say(Phase.HELLO, f"{verb} {self._name}\r\n".encode("ascii"))

    # -- within: hearing

    def _hear(self, reply: ServerReply) -> None:
        self._heard += 1
        if self._veil is not None and reply.code != _GO_ON[Phase.AUTH]:
            reply = self._veil.over_reply(reply)
        if not self._said:
            # Unasked for: a goodbye to an idle session, or an early end of content.
            self._end(reply)
            return
        phase = self._said.popleft()
        if reply.code == 421:  # RFC 5321 §3.8: at any point
            self._end(reply)
            return
        if reply.code // 100 == 3 and reply.code != _GO_ON.get(phase):
            self._end(Fault(FaultKind.GARBAGE, phase, reply.words))
            return
        self._HEARERS[phase](self, reply)
        if self._ended is not None:
            return
        if self._unsaid and not self._said:
            self._speak()
        elif self._said:
            self.phase = self._said[0]
        elif self.phase not in {Phase.CONTENT, Phase.START_TLS}:
            self.phase = Phase.READY

    def _hear_greeting(self, reply: ServerReply) -> None:
        if reply.code != 220:  # RFC 5321 §3.1
            self._end(answering(Answered.SESSION, reply))
            return
        self.greeted = True
        self._say_hello()

    def _hear_hello(self, reply: ServerReply) -> None:
        if reply.code == 250:
            self.offers = read_offers(reply.lines[1:]) if self._extended else Offers()
            self._events.append(Ready(self.offers))
        elif reply.code >= 500 and self._extended and self.dialect is Dialect.SMTP:
            self._extended = False  # RFC 5321 §4.1.1.1
            self._say_hello()
        else:
            self._end(answering(Answered.SESSION, reply))

    def _hear_start_tls(self, reply: ServerReply) -> None:
        if reply.code == 220 and len(self._reader):
            # Octets that came in clear behind the reply would be taken for the server's in TLS.
            self._end(Fault(FaultKind.GARBAGE, Phase.START_TLS, "octets came behind STARTTLS"))
        elif reply.code == 220:
            self.phase = Phase.START_TLS
            self._events.append(TlsAccepted())
        else:
            self.phase = Phase.READY
            self._events.append(TlsRefused(reply))

    def _hear_auth(self, reply: ServerReply) -> None:
        login = self._login
        if login is None:
            self._end(Fault(FaultKind.GARBAGE, Phase.AUTH, "a reply to no AUTH"))
            return
        if reply.code == 334:
            if login.is_over:  # it was told so, and goes on asking
                self._end(Fault(FaultKind.GARBAGE, Phase.AUTH, "334 without end"))
                return
            self._say(Phase.AUTH, login.respond(reply) + b"\r\n")
            return
        self._login = None
        if reply.code == 235 and login.may_succeed():
            self._events.append(LoggedIn())
        else:
            self._events.append(LoginRefused(reply, login.words))

    def _hear_nothing_new(self, _reply: ServerReply) -> None:
        """RSET, which cannot fail (RFC 5321 §4.1.1.5)."""
        if self._rehearsing and self._envelope is not None and not (self._said or self._unsaid):
            self._end_transaction()

    def _hear_mail(self, reply: ServerReply) -> None:
        if reply.code // 100 != 2:
            self._verdicts.refuse_all(reply)
            self._no_more_to_say()

    def _hear_rcpt(self, reply: ServerReply) -> None:
        self._verdicts.hear_rcpt(reply, rehearsing=self._rehearsing)
        if not self._verdicts.are_heard:
            return
        if not self._verdicts.accepted:
            self._no_more_to_say()
        elif self._envelope is not None and self._envelope.binary and not self._rehearsing:
            # One chunk of all (RFC 3030 §2): what DATA needs 354 for, BDAT says with the octets.
            self._out.append(b"BDAT %d LAST\r\n" % self._envelope.size)
            self._want_content(OneChunk(self._envelope.size))

    def _no_more_to_say(self) -> None:
        """All are refused: leave unsaid what is not said; the server may hold half a transaction."""
        self._unsaid.clear()
        self._spoiled = True
        if not self._said:
            self._end_transaction()

    def _want_content(self, stuffer: DotStuffer | OneChunk) -> None:
        self._stuffer = stuffer
        self._early = False
        self.phase = Phase.CONTENT
        self._events.append(_CONTENT_WANTED)

    def _hear_data(self, reply: ServerReply) -> None:
        if reply.code == 354 and self._verdicts.accepted:
            self._want_content(DotStuffer())
        elif reply.code == 354:
            # RFC 2920 §3.1: nobody was accepted, so the server gets a single dot.
            self._out.append(b".\r\n")
            if self.dialect is Dialect.LMTP:  # which replies nothing to it
                self._end(Fault(FaultKind.GARBAGE, Phase.DATA, "content wanted for nobody"))
            else:
                self._said.append(Phase.FINAL_DOT)
        elif reply.code >= 400:
            self._spoiled = True
            self._settle_all(answering(Answered.DATA, reply))
        else:  # who knows which of our commands that was for
            self._end(Fault(FaultKind.GARBAGE, Phase.DATA, f"DATA was answered {reply.words}"))

    def _hear_final_dot(self, reply: ServerReply) -> None:
        if self._early and reply.code < 400:
            words = f"a reply came before the message had ended: {reply.words}"
            self._end(Fault(FaultKind.GARBAGE, Phase.FINAL_DOT, words))
        elif self.dialect is Dialect.LMTP:
            self._verdicts.hear_one(reply, self._said.count(Phase.FINAL_DOT))
            if not self._said:
                self._end_transaction()
        else:
            self._verdicts.hear_end(reply, early=self._early)
            self._end_transaction()

    # -- within: ending

    def _settle_all(self, verdict: Verdict) -> None:
        """Give everybody who has none this verdict, and end the transaction."""
        self._verdicts.give(verdict)
        self._end_transaction()

    def _end_transaction(self) -> None:
        self._envelope = None
        self.phase = Phase.READY
        self._events.append(TransactionEnded(self._verdicts.all()))

    def _end(self, cause: Verdict) -> None:
        if self._envelope is not None:
            early = isinstance(cause, ServerReply) and cause.code < 400
            lost = Fault(FaultKind.GARBAGE, self.phase, "a reply that nobody asked for")
            self._settle_all(lost if early else cause)
        self._unsaid.clear()
        self._said.clear()
        self.phase = Phase.OVER
        self._ended = Ended(cause)

    _HEARERS: ClassVar[Mapping[Phase, Callable[["ClientSession", ServerReply], None]]] = {
        Phase.GREETING: _hear_greeting,
        Phase.HELLO: _hear_hello,
        Phase.START_TLS: _hear_start_tls,
        Phase.AUTH: _hear_auth,
        Phase.RESET: _hear_nothing_new,
        Phase.MAIL: _hear_mail,
        Phase.RCPT: _hear_rcpt,
        Phase.DATA: _hear_data,
        Phase.FINAL_DOT: _hear_final_dot,
        Phase.QUIT: _end,
    }
