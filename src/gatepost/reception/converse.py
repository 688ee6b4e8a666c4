"""Room 2: octets to the session, its questions to policy, the answers back to the peer.

One coroutine per connection, no task, timer or log line per message: the connection's deadline
is a number that one sweeper looks at.
"""

import asyncio
import logging

from gatepost.identity.foreign import DirectoryAwayError
from gatepost.identity.turns import BusyError
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.ids import AccountName
from gatepost.net.address import one_client
from gatepost.net.clock import agreed, now
from gatepost.net.counters import Metric
from gatepost.net.transport import (
    Connection,
    ConnectionLostError,
    DeadlineError,
    TlsFailedError,
)
from gatepost.reception.accept import accept
from gatepost.reception.arrival import Arrival
from gatepost.reception.authenticate import authenticate
from gatepost.reception.desk import Desk, Door
from gatepost.reception.drawing import Drawing
from gatepost.reception.handling import requests_of, urgency
from gatepost.reception.holding import Holding
from gatepost.reception.memory import Taker
from gatepost.reception.offered import offered_within
from gatepost.reception.originator import Originator
from gatepost.reception.patience import Patience
from gatepost.reception.policy import Room, Standing, judge_login, judge_mail, judge_rcpt
from gatepost.reception.speaker import Speaker
from gatepost.store.protocols import StoreUnavailableError
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Auth, Command, Mail, Rcpt, StartTls
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.smtp.server import ServerSession
from gatepost.wire.smtp.server_events import (
    Asked,
    Closed,
    Content,
    ContentDropped,
    ContentEnded,
    NeedOctets,
    Responded,
    TurnOver,
)
from gatepost.wire.smtp.server_states import State

_log = logging.getLogger(__name__)

#: Seconds that a transaction under way gets when the worker stops.
_LAST_TRANSACTION = 10.0
#: Seconds that a session which has sent nothing yet gets to begin one: with a reload, its client
#: could not know better.
_FIRST_TRANSACTION = 2.0
_BETWEEN_TRANSACTIONS = (State.CONNECTED, State.GREETED)


class Conversation:
    """One connection from its greeting to its end."""

    __slots__ = (
        "_connection",
        "_desk",
        "_door",
        "_drawing",
        "_dropped",
        "_has_sent",
        "_holding",
        "_origin",
        "_patience",
        "_session",
        "_speaker",
        "_time",
    )

    def __init__(
        self, connection: Connection, door: Door, desk: Desk, greeting: Reply | None
    ) -> None:
        channel = Channel.TLS if connection.tls else Channel.CLEAR
        self._connection = connection
        self._door = door
        self._desk = desk
        self._session = ServerSession(door.profile, channel, greeting)
        self._session.mechanisms = offered_within(door.profile.mechanisms, connection.tls)
        self._speaker = Speaker(desk.directory)
        self._drawing = Drawing(desk.allowances)
        #: Recipients of this transaction whose mail is dropped: why.
        self._dropped: dict[str, str] = {}
        self._holding = Holding(desk.memory, self._taker())
        self._has_sent = False
        self._time = asyncio.get_running_loop().time
        self._patience = Patience(desk.pace, self._time())
        self._origin = Originator(door.role, self._session, connection, self._speaker)

    async def run(self) -> None:
        """Converse until either side ends it; every end says why where the peer can hear it."""
        try:
            await self._converse()
        except DeadlineError:
            self._session.close(self._lateness())
        except (ConnectionLostError, TlsFailedError) as end:
            _log.debug("%s: %s", self._connection.peer, end)
            self._connection.abort()
            return
        except Exception:  # noqa: BLE001 - the top of the task, and said there
            # A fault of ours ends this conversation, and no other.
            _log.exception("%s: a conversation failed", self._connection.peer)
            self._record_refusal(replies.INTERNAL_FAULT, "")
            self._session.close(replies.INTERNAL_FAULT)
        finally:
            self._holding.let_go()
            self._drawing.end()
        self._connection.deadline = self._time() + 5
        self._connection.write(self._session.octets_to_send())
        await self._connection.close()

    def stop(self) -> None:
        """Say 421 between transactions, because the worker stops; a transaction may end first, and
        a session that has just come may have its first one.

        Who waits for the peer is woken by the deadline, which now means this stop.
        """
        self._connection.deadline = self._time() + self._last_seconds()

    def may_give_way(self) -> bool:
        """Tell whether somebody else may have this connection: a stranger's, who hands nothing over."""
        session = self._session
        is_handing_over = session.in_content or session.state is State.CONTENT_COMPLETE
        return self._speaker.principal is None and not is_handing_over

    def give_way(self) -> None:
        """Say why, and end it at once."""
        self._connection.write(replies.TOO_MANY_CONNECTIONS.octets)
        self._connection.flush()
        self._connection.abort()

    def _last_seconds(self) -> float:
        """How long this session may go on in a worker that stops."""
        if self._session.mail:
            return _LAST_TRANSACTION
        return 0.0 if self._has_sent else _FIRST_TRANSACTION

    # -- the pump

    async def _converse(self) -> None:
        session = self._session
        while True:
            match session.next_event():
                case NeedOctets():
                    await self._fetch()
                case Content(octets):
                    self._keep(octets)
                case Asked(command):
                    await self._on_question(command)
                case ContentEnded():
                    await self._on_content_ended()
                case ContentDropped():
                    self._holding.let_go()
                    self._patience.content_over()
                case TurnOver():
                    await self._wait_for_turn()
                case Closed():
                    return
                case Responded():
                    session.exchange_over()

    async def _fetch(self) -> None:
        """Send what is due, then wait for more of the peer's octets."""
        connection = self._connection
        if self._session.mail is None and (self._drawing.is_open or not self._holding.is_empty):
            self._drawing.end()  # RSET, EHLO
            self._holding.let_go()
        if out := self._session.octets_to_send():
            connection.write(out)
        between = self._session.state in _BETWEEN_TRANSACTIONS
        if self._desk.stopping() and self._has_sent and between:
            self._session.close(replies.STOPPING)
            return
        in_content = self._session.in_content
        connection.in_content = in_content
        connection.deadline = self._deadline(in_content=in_content)
        octets = await connection.read()
        if in_content:
            # What is thrown away, too: who sends it is not slow.
            self._patience.earn(len(octets), self._time())
        self._session.receive(octets)

    async def _wait_for_turn(self) -> None:
        """Send what is due, as fast as the peer takes it, and let other conversations go on: of all who
        say much at once one has his turn, and those who say little need not wait for it.
        """
        if out := self._session.octets_to_send():
            self._connection.write(out)
        await self._connection.drain()
        async with self._desk.turn:
            await asyncio.sleep(0)

    def _deadline(self, *, in_content: bool) -> float:
        """Idle, content too slow, the whole connection too old, or this worker stops."""
        at = self._time()
        until = self._patience.until(at, in_content=in_content)
        return min(until, at + self._last_seconds()) if self._desk.stopping() else until

    def _lateness(self) -> Reply:
        if self._desk.stopping():
            return replies.STOPPING
        if self._patience.is_old(self._time()):
            return replies.SESSION_TOO_LONG
        slow = self._session.in_content and self._holding.size
        return replies.TOO_SLOW if slow else replies.IDLE_TOO_LONG

    # -- the questions

    async def _on_question(self, command: Command) -> None:
        match command:
            case Mail():
                self._session.answer(await self._on_mail(command))
            case Rcpt():
                self._session.answer(await self._on_rcpt(command))
            case Auth():
                await self._on_auth(command)
            case StartTls():
                await self._on_starttls()
            case _:
                msg = f"the session asked about {command!r}"
                raise TypeError(msg)

    def _standing(self) -> Standing:
        speaker = self._speaker
        return Standing(
            self._door.role,
            self._session.channel,
            speaker.principal,
            speaker.account,
            self._desk.acceptance.tags,
            speaker.is_held,
        )

    async def _on_mail(self, mail: Mail) -> Reply:
        desk, speaker = self._desk, self._speaker
        if desk.stopping() and self._has_sent:
            return replies.STOPPING
        self._dropped = {}
        self._holding.let_go()
        self._holding.taker = self._taker()
        try:
            await speaker.look_again(self._time())
            refusal = judge_mail(
                mail,
                self._standing(),
                message_size=self._door.profile.message_size,
                room=Room(disk=desk.free_space(), memory=self._holding.left()),
            )
            if refusal is None and mail.hold and (later := desk.acceptance.later):
                refusal = await later.judge_mail(mail, speaker.account)
            refusal = refusal or await self._drawing.begin(speaker.account, speaker.credential)
        except (StoreUnavailableError, DirectoryAwayError, BusyError):
            return replies.STORE_AWAY
        if refusal:
            self._record_refusal(refusal, mail.reverse_path.text if mail.reverse_path else "<>")
        return refusal or self._sender_ok(mail)

    def _sender_ok(self, mail: Mail) -> Reply:
        """Return the good reply to MAIL, which tells a priority that counts for less (RFC 6710 §4.1)."""
        if mail.priority is None:
            return replies.SENDER_OK
        account = self._speaker.account
        lane = account.lane if account else None
        counted = urgency(lane, mail.priority).priority
        if counted == mail.priority:
            return replies.SENDER_OK
        return replies.PRIORITY_LOWERED.say(f"{counted} {replies.PRIORITY_LOWERED.text}")

    async def _on_rcpt(self, rcpt: Rcpt) -> Reply:
        speaker, session = self._speaker, self._session
        refusal = judge_rcpt(
            rcpt,
            self._standing(),
            self._desk.local,
            already=len(session.forward_paths),
            recipients=self._desk.limits.recipients,
        )
        if refusal is None and not self._holding.has_room_for_one_more(len(session.forward_paths)):
            refusal = replies.NO_MEMORY
        try:
            if refusal is None and speaker.account is not None:
                refusal = await self._judge_suppressed(rcpt.forward_path.text, speaker.account.name)
            elif refusal is None and speaker.principal is None:
                refusal = await self._desk.inside.judge(rcpt.forward_path)
            refusal = refusal or await self._drawing.recipient()
        except StoreUnavailableError:
            return replies.STORE_AWAY
        if refusal:
            self._record_refusal(refusal, rcpt.forward_path.text)
        return refusal or replies.RECIPIENT_OK

    async def _judge_suppressed(self, address: str, account: AccountName) -> Reply | None:
        """Refuse a recipient that is suppressed, or note that the account wants it dropped."""
        suppressed = self._desk.suppressed
        if not suppressed.may_hold(address):
            return None
        rule = suppressed.rule(account)
        found = await suppressed.find(address, account, rule.stream)
        if found is None:
            return None
        if rule.drops:
            self._dropped[address] = found.words
            return None
        return replies.SUPPRESSED.about(found.words)

    def _keep(self, octets: bytes) -> None:
        """Keep a piece of content, while this worker has memory for it."""
        if not self._holding.keep(octets):
            self._session.refuse_content(replies.NO_MEMORY)

    def _taker(self) -> Taker:
        """Return whose part of the memory content takes."""
        if by := self._speaker.principal:
            return Taker(by.account, is_known=True)
        return Taker(one_client(self._connection.peer.host))

    async def _on_content_ended(self) -> None:
        session = self._session
        self._connection.in_content = False
        if out := session.octets_to_send():
            self._connection.write(out)
        reply = session.content_refusal or await self._judge_late_content()
        if reply is None:
            reply = await accept(self._arrival(), self._desk.acceptance)
        self._holding.let_go()
        self._patience.content_over()
        queued = reply.text.startswith(replies.QUEUED.text)
        self._drawing.end(is_stored=queued or reply is replies.STORE_AWAY)
        if queued:
            self._desk.counters.add(Metric.ACCEPTED)
            if by := self._speaker.principal:
                count = len(session.forward_paths)
                self._desk.histories.note_accepted(by.account, by.credential, count)
        elif not reply.accepts:
            self._record_refusal(reply, "")
        self._has_sent = True
        session.answer(reply)

    async def _judge_late_content(self) -> Reply | None:
        """Refuse content that took a while, of an account that was suspended meanwhile: who has its
        password could have begun any number of messages before.
        """
        at = self._time()
        if self._speaker.is_known(at):
            return None
        try:
            await self._speaker.look_again(at)
        except (StoreUnavailableError, DirectoryAwayError, BusyError):
            return replies.STORE_AWAY
        return judge_login(self._standing())

    def _arrival(self) -> Arrival:
        session = self._session
        mail = session.mail
        reverse_path = mail.reverse_path.text if mail and mail.reverse_path else ""
        return Arrival(
            origination=self._origin.now(),
            reverse_path=reverse_path,
            forward_paths=tuple(rcpt.forward_path for rcpt in session.forward_paths),
            pieces=self._holding.pieces,
            size=self._holding.size,
            eight_bit=bool(mail and mail.eight_bit),
            binary=bool(mail and mail.binary),
            utf8=bool(mail and mail.utf8),
            spendings=self._drawing.spendings(agreed()),
            dropped=self._dropped,
            requests=requests_of(mail, session.forward_paths),
        )

    async def _on_auth(self, auth: Auth) -> None:
        by = await authenticate(auth, self._session, self._connection, self._desk)
        self._speaker.principal = by
        self._origin.forget()
        if by:
            host = self._connection.peer.host
            self._desk.histories.note_login(by.account, by.credential, host)

    async def _on_starttls(self) -> None:
        connection, session = self._connection, self._session
        session.answer(replies.START_TLS)
        connection.write(session.octets_to_send())
        if connection.unread:
            # It would have been refused inside the session, had it come in the same segment.
            _log.info("%s: octets behind STARTTLS", connection.peer)
            session.close(replies.TLS_INJECTION)
            return
        handshake = self._desk.limits.handshake.total_seconds()
        connection.deadline = self._time() + handshake
        await connection.start_tls(self._door.tls(), server_side=True)
        self._origin.forget()
        session.tls_established()
        session.mechanisms = offered_within(self._door.profile.mechanisms, connection.tls)

    def _record_refusal(self, reply: Reply, about: str) -> None:
        facts: dict[str, Fact] = {
            "code": reply.code,
            "status": reply.status or "",
            "text": reply.text,
            "client": self._connection.peer.host,
        }
        if about:
            facts["address"] = about
        principal = self._speaker.principal
        account = principal.account if principal else None
        self._desk.recorder.record(
            Event(EventKind.REFUSED_AT_DOOR, now(), account=account, facts=facts)
        )
