"""Room 3: drive one SASL exchange to a Principal, or to the reply that says no (RFC 4954 §4).

The wire hears one constant text for an unknown account and for a wrong password, with a tag; the
true cause goes to the event with the same tag.
"""

from dataclasses import dataclass
from typing import Final

from gatepost.identity.authenticate import Cause, Verdict
from gatepost.model.account import Principal
from gatepost.model.event import Event, EventKind, Fact
from gatepost.net.clock import new_identifier, now
from gatepost.net.transport import Connection
from gatepost.reception.desk import Desk
from gatepost.wire.sasl.exchange import (
    Answer,
    Challenge,
    ChannelFacts,
    CheckPassword,
    Denied,
    Exchange,
    Granted,
)
from gatepost.wire.sasl.mechanisms import MECHANISMS
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Auth
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.smtp.server import NeedOctets, Responded, ServerSession, decode_response

#: What the wire hears for each true cause: 535 means wrong credentials and nothing else.
_REPLIES: Final = {
    Cause.UNKNOWN_ACCOUNT: replies.BAD_CREDENTIALS,
    Cause.WRONG_PASSWORD: replies.BAD_CREDENTIALS,
    Cause.SUSPENDED: replies.ACCOUNT_SUSPENDED,
    Cause.BUSY: replies.LOGIN_NOT_POSSIBLE,
    Cause.STORE_AWAY: replies.LOGIN_NOT_POSSIBLE,
}
#: How many hexadecimal digits of an identifier's random part make a tag.
_TAG: Final = 10


@dataclass(slots=True)
class _Knock:
    """One AUTH as it goes on: what is asked of us, and what we know by now."""

    auth: Auth
    session: ServerSession
    connection: Connection
    desk: Desk
    verdict: Verdict | None = None
    name: str = ""


async def authenticate(
    auth: Auth, session: ServerSession, connection: Connection, desk: Desk
) -> Principal | None:
    """Answer one AUTH command, however many rounds it takes; None: not logged in.

    Raises:
        ConnectionLostError, DeadlineError: as the connection does, in the middle of an exchange.

    """
    knock = _Knock(auth, session, connection, desk)
    refusal = await _refuse_at_once(knock)
    if refusal:
        session.answer(refusal)
        return None
    exchange = MECHANISMS[auth.mechanism].start(ChannelFacts())
    initial = decode_response(auth.initial) if auth.initial is not None else None
    try:
        return await _drive(exchange, initial, knock)
    finally:
        exchange.close()


async def _refuse_at_once(knock: _Knock) -> Reply | None:
    """Judge the command itself: nothing is checked before TLS (538), or while locked out."""
    auth, desk = knock.auth, knock.desk
    if knock.session.channel is Channel.CLEAR:
        await _note_exposed(knock)
        return replies.AUTH_BEFORE_TLS
    if auth.mechanism not in desk.mechanisms:
        return replies.UNKNOWN_MECHANISM
    if auth.initial is not None and decode_response(auth.initial) is None:
        return replies.NOT_BASE64
    if auth.initial is not None and not MECHANISMS[auth.mechanism].client_first:
        return replies.NO_INITIAL_RESPONSE
    if desk.guessing.seconds_locked(knock.connection.peer.host):
        _record(knock, EventKind.LOGIN_REFUSED, "locked out after too many failures", "")
        return replies.LOCKED_OUT
    return None


async def _drive(exchange: Exchange, initial: bytes | None, knock: _Knock) -> Principal | None:
    """Carry asks to whoever can answer them, until there is a verdict."""
    answer: Answer | None = None
    while True:
        try:
            ask = next(exchange) if answer is None else exchange.send(answer)
        except StopIteration as end:
            return _settle(end.value, knock)
        match ask:
            case Challenge(octets):
                given = initial if initial is not None else await _challenge(octets, knock)
                initial = None
                if given is None:
                    return None
                answer = given
            case CheckPassword(authcid, password):
                _flush(knock)
                knock.verdict = await knock.desk.authenticator.check_password(authcid, password)
                answer = knock.verdict.is_granted


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


def _settle(verdict: Granted | Denied, knock: _Knock) -> Principal | None:
    """Say what came of it, record why, and count failures of guessers."""
    checked = knock.verdict
    if isinstance(verdict, Granted) and checked and checked.credential:
        knock.name = checked.name
        _record(knock, EventKind.LOGIN_SUCCEEDED, "", "")
        knock.session.answer(replies.AUTHENTICATED)
        return Principal(checked.name, checked.credential, knock.auth.mechanism)
    knock.name = verdict.authcid
    reply, cause = replies.BAD_CREDENTIALS, "malformed message"
    if checked and checked.cause:
        reply, cause = _REPLIES[checked.cause], checked.cause.value
    elif isinstance(verdict, Denied) and checked:
        cause = f"{verdict.fault.name.lower()} is not its own"
    tag = new_identifier()[-_TAG:]
    if reply is replies.BAD_CREDENTIALS:
        knock.desk.guessing.note_failure(knock.connection.peer.host)
        reply = reply.say(f"{reply.text} [{tag}]")
    _record(knock, EventKind.LOGIN_REFUSED, cause, tag)
    knock.session.answer(reply)
    return None


async def _note_exposed(knock: _Knock) -> None:
    """Somebody sends credentials in clear: flag the account that is named, check nothing."""
    if knock.auth.mechanism != "PLAIN" or knock.auth.initial is None:
        return
    message = (decode_response(knock.auth.initial) or b"").split(b"\0")
    if len(message) == 3:
        name = message[1].decode("utf-8", "replace")
        await knock.desk.note_exposed(name, knock.connection.peer.host)


def _flush(knock: _Knock) -> None:
    if out := knock.session.octets_to_send():
        knock.connection.write(out)


def _record(knock: _Knock, kind: EventKind, cause: str, tag: str) -> None:
    tls = knock.connection.tls
    facts: dict[str, Fact] = {
        "client": knock.connection.peer.host,
        "mechanism": knock.auth.mechanism,
        "name": replies.printable(knock.name),
        "tls": f"{tls.version} {tls.cipher}" if tls else "",
    }
    if cause:
        facts |= {"reason": cause, "tag": tag}
    account = knock.verdict.account.name if knock.verdict and knock.verdict.account else None
    knock.desk.recorder.record(Event(kind, now(), account=account, facts=facts))
