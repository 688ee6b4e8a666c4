"""Room 3: drive one SASL exchange to a Principal, or to the reply that says no (RFC 4954 §4).

The wire hears one constant text for an unknown account and for a wrong password, with a tag; the
true cause goes to the event with the same tag.
"""

from dataclasses import dataclass
from typing import Final

from gatepost.identity.authenticate import (
    Cause,
    Consequence,
    InClear,
    LoginAttempt,
    LoginFacts,
    Verdict,
)
from gatepost.model.account import Principal
from gatepost.model.event import Event, EventKind, Fact
from gatepost.net.channel_facts import channel_facts
from gatepost.net.clock import new_identifier, now
from gatepost.net.counters import Metric
from gatepost.net.transport import Connection
from gatepost.reception.desk import Desk
from gatepost.wire.sasl.exchange import (
    Answer,
    Challenge,
    Denied,
    Exchange,
    Fault,
    FetchScram,
    Granted,
)
from gatepost.wire.sasl.mechanisms import MECHANISMS
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.command_reader import decode_response
from gatepost.wire.smtp.commands import Auth
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.smtp.server import ServerSession
from gatepost.wire.smtp.server_events import NeedOctets, Responded

#: What the wire hears of a refused login: 535 means wrong credentials and nothing else.
_REPLIES: Final = {
    Consequence.WRONG: replies.BAD_CREDENTIALS,
    Consequence.APP_PASSWORD_REQUIRED: replies.APP_PASSWORD_REQUIRED,
    Consequence.SUSPENDED: replies.ACCOUNT_SUSPENDED,
    Consequence.LOCKED_PAIR: replies.LOGIN_LOCKED,
    Consequence.LOCKED_OUT: replies.LOCKED_OUT,
    Consequence.OUR_TROUBLE: replies.LOGIN_NOT_POSSIBLE,
}
#: By cause: where it is counted (`gatepost_logins_refused_total`).
PLACES: Final = {cause: place for place, cause in enumerate(Cause)}
#: How many hexadecimal digits of an identifier's random part make a tag.
_TAG: Final = 10


@dataclass(slots=True)
class _Knock:
    """One AUTH as it goes on. `was_refused`: the credential store has said no, the client has not
    heard it yet.
    """

    auth: Auth
    session: ServerSession
    connection: Connection
    desk: Desk
    attempt: LoginAttempt
    was_refused: bool = False

    @property
    def tls(self) -> str:
        """Return "TLSv1.3 CIPHER"."""
        tls = self.connection.tls
        return f"{tls.version} {tls.cipher}" if tls else ""


async def authenticate(
    auth: Auth, session: ServerSession, connection: Connection, desk: Desk
) -> Principal | None:
    """Answer one AUTH command, however many rounds it takes; None: not logged in.

    Raises:
        ConnectionLostError, DeadlineError: as the connection does, in the middle of an exchange.

    """
    if session.channel is Channel.CLEAR:
        _note_in_clear(auth, connection, desk)
    if refusal := _refuse_command(auth, session):
        session.answer(refusal)
        return None
    tls = connection.tls
    facts = LoginFacts(
        client_address=connection.peer.host,
        mechanism=auth.mechanism,
        tls=f"{tls.version} {tls.cipher}" if tls else "",
        certificate=tls.peer_certificate if tls else None,
    )
    knock = _Knock(auth, session, connection, desk, desk.authenticator.begin(facts))
    if knock.attempt.may_begin() is not None:
        _refuse(knock.attempt.verdict, knock)
        return None
    initial = decode_response(auth.initial) if auth.initial is not None else None
    exchange = _start(knock)
    try:
        return await _drive(exchange, initial, knock)
    finally:
        exchange.close()
        if knock.was_refused:  # and left before it was told: that counts all the same
            verdict = knock.attempt.conclude(Denied(Fault.CREDENTIALS))
            _record_refusal(verdict, knock, new_identifier()[-_TAG:])


def _refuse_command(auth: Auth, session: ServerSession) -> Reply | None:
    """Judge the command itself; before TLS nothing is checked (538)."""
    if session.channel is Channel.CLEAR:
        return replies.AUTH_BEFORE_TLS
    if auth.mechanism not in session.mechanisms:
        return replies.UNKNOWN_MECHANISM
    if auth.initial is not None and decode_response(auth.initial) is None:
        return replies.NOT_BASE64
    if auth.initial is not None and not MECHANISMS[auth.mechanism].client_first:
        return replies.NO_INITIAL_RESPONSE
    return None


def _start(knock: _Knock) -> Exchange:
    session = knock.session
    mechanism = MECHANISMS[knock.auth.mechanism]
    facts = channel_facts(
        knock.connection,
        hostname=session.hostname,
        offers_plus=any(MECHANISMS[name].binds_channel for name in session.mechanisms),
        binds=mechanism.binds_channel,
    )
    return mechanism.start(facts)


async def _drive(exchange: Exchange, initial: bytes | None, knock: _Knock) -> Principal | None:
    """Carry asks to whoever can answer them, until there is a verdict."""
    answer: Answer = None
    while True:
        try:
            ask = exchange.send(answer)
        except StopIteration as end:
            return _settle(end.value, knock)
        if not isinstance(ask, Challenge):
            _flush(knock)
            answer = await knock.attempt.answer(ask)
            judged = not isinstance(ask, FetchScram)
            knock.was_refused = judged and not knock.attempt.verdict.is_granted
            continue
        response = initial if initial is not None else await _challenge(ask.octets, knock)
        initial = None
        if response is None:
            return None
        answer = response


async def _challenge(octets: bytes, knock: _Knock) -> bytes | None:
    """Send a challenge and wait for the response; None when the client gave up."""
    session, connection = knock.session, knock.connection
    session.challenge(octets)
    while True:
        match session.next_event():
            case NeedOctets():
                _flush(knock)
                session.receive(await connection.read())
            case Responded(response):
                if response is None:
                    session.exchange_over()
                return response
            case _:
                return None


def _settle(outcome: Granted | Denied, knock: _Knock) -> Principal | None:
    """Say what came of it, and record why."""
    knock.was_refused = False
    verdict = knock.attempt.conclude(outcome)
    if not verdict.is_granted or verdict.credential is None:
        _refuse(verdict, knock)
        return None
    _record(EventKind.LOGIN_SUCCEEDED, verdict, knock, {})
    knock.desk.counters.add(Metric.LOGINS)
    knock.session.answer(replies.AUTHENTICATED)
    return Principal(verdict.name, verdict.credential, knock.auth.mechanism)


def _refuse(verdict: Verdict, knock: _Knock) -> None:
    tag = new_identifier()[-_TAG:]
    consequence = verdict.cause.consequence if verdict.cause else Consequence.WRONG
    reply = _REPLIES[consequence]
    if consequence is Consequence.WRONG:
        reply = reply.say(f"{reply.text} [{tag}]")
    _record_refusal(verdict, knock, tag)
    knock.session.answer(reply)


def _note_in_clear(auth: Auth, connection: Connection, desk: Desk) -> None:
    """Somebody sends credentials in clear: the reply is the same, whatever they are."""
    if auth.mechanism != "PLAIN" or auth.initial is None:
        return
    message = (decode_response(auth.initial) or b"").split(b"\0")
    if len(message) == 3:
        name, password = (part.decode("utf-8", "replace") for part in message[1:])
        desk.authenticator.note_in_clear(InClear(name, password, connection.peer.host))


def _flush(knock: _Knock) -> None:
    if out := knock.session.octets_to_send():
        knock.connection.write(out)


def _record_refusal(verdict: Verdict, knock: _Knock, tag: str) -> None:
    facts: dict[str, Fact] = {"reason": replies.printable(verdict.reason), "tag": tag}
    if verdict.credential is not None:  # right, and not good here or now
        facts["credential"] = verdict.credential
    _record(EventKind.LOGIN_REFUSED, verdict, knock, facts)
    if verdict.cause is not None:
        knock.desk.counters.add_login_refused(PLACES[verdict.cause])


def _record(kind: EventKind, verdict: Verdict, knock: _Knock, more: dict[str, Fact]) -> None:
    facts: dict[str, Fact] = {
        "client": knock.connection.peer.host,
        "mechanism": knock.auth.mechanism,
        "name": replies.printable(verdict.name),
        "tls": knock.tls,
    }
    account = verdict.account.name if verdict.account else None
    knock.desk.recorder.record(Event(kind, now(), account=account, facts=facts | more))
