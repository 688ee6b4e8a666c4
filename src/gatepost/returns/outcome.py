"""What an attempt came to: replies, faults and failures of the other side -> `Outcome`.

RFC 5321 §4.2.1: 2yz done, 4yz try again, 5yz do not. Where nobody answered the codes are ours
(RFC 3463), and always temporary: a network, a certificate or a name server can be mended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.wire.smtp.client_events import Fault, FaultKind, Phase, Verdict
from gatepost.wire.smtp.reply_reader import Answered, ServerReply
from gatepost.wire.values import changed

#: Words for a person, without what a reply should not hold; logs and reports keep lines short.
MOST_TEXT: Final = 500

#: RFC 3463: temporary where nothing was said.
NO_CONNECTION: Final = "4.4.1"
CONNECTION_LOST: Final = "4.4.2"
DNS_TROUBLE: Final = "4.4.3"
PROTOCOL: Final = "4.5.0"
TLS_MISSING: Final = "4.7.4"
TLS_FAILED: Final = "4.7.5"
LOGIN_FAILED: Final = "4.7.0"
LOCAL_TROUBLE: Final = "4.3.0"
NO_ROUTE_NOW: Final = "4.4.4"
DISK_FULL: Final = "4.3.1"
#: And permanent.
NO_SUCH_DOMAIN: Final = "5.1.2"
NULL_MX: Final = "5.1.10"
LOOP: Final = "5.4.6"
NO_ROUTE: Final = "5.4.4"
TOO_LARGE: Final = "5.3.4"
NEEDS_EIGHT_BIT: Final = "5.6.3"
NEEDS_UTF8: Final = "5.6.7"
UTF8_HEADER: Final = "5.6.9"
CONTENT_DAMAGED: Final = "5.3.0"
BAD_ADDRESS: Final = "5.1.3"
BAD_SENDER: Final = "5.1.7"

#: RFC 7504 §3, said instead of 220.
NEVER_TAKES_MAIL: Final = 521
#: RFC 3463: subjects "address" and "mailbox"; and "system not accepting network messages".
_OF_ADDRESSES: Final = frozenset({"1.", "2."})
_NO_SERVICE: Final = ".3.2"

_DUPLICATE_POSSIBLE: Final = (
    "connection lost after the final dot: it may have arrived, and is sent again"
)
_AFTER_THE_FACT: Final = frozenset({Phase.CONTENT, Phase.FINAL_DOT})
_SPOKEN: Final = {
    Phase.GREETING: "before the greeting",
    Phase.HELLO: "after EHLO",
    Phase.START_TLS: "after STARTTLS",
    Phase.AUTH: "while logging in",
    Phase.RESET: "after RSET",
    Phase.MAIL: "after MAIL",
    Phase.RCPT: "after RCPT",
    Phase.DATA: "after DATA",
    Phase.CONTENT: "in the content",
    Phase.FINAL_DOT: "after the final dot",
}


@dataclass(frozen=True, slots=True)
class Spoken:
    """Whom we spoke to: name of the host, "ip:port", "TLSv1.3 TLS_AES_256_GCM_SHA384" or ""; and our
    own IP address, where it was chosen.
    """

    host: str = ""
    address: str = ""
    tls: str = ""
    source: str = ""


def deferred(status: str, text: str, to: Spoken | None = None) -> Outcome:
    """Return our own "not now"."""
    return _ours(OutcomeKind.DEFERRED, status, text, to)


def refused(status: str, text: str, to: Spoken | None = None) -> Outcome:
    """Return our own "never"."""
    return _ours(OutcomeKind.REFUSED, status, text, to)


def delivered(text: str, to: Spoken | None = None) -> Outcome:
    """Return our own "done" (a maildir)."""
    return _ours(OutcomeKind.DELIVERED, "2.0.0", text, to)


def from_verdict(verdict: Verdict, to: Spoken, *, slow: bool = False) -> Outcome:
    """Return what a client session's verdict means for one recipient.

    `slow`: what looks like a lost connection was our patience running out.
    """
    if isinstance(verdict, ServerReply):
        return from_reply(verdict, to)
    return _from_fault(verdict, to, slow=slow)


def from_reply(reply: ServerReply, to: Spoken) -> Outcome:
    """Return what a reply means for a recipient."""
    if reply.code // 100 == 2:
        kind = OutcomeKind.DELIVERED
    elif reply.code >= 500 and not says_too_many_recipients(reply):
        kind = OutcomeKind.REFUSED
    else:
        kind = OutcomeKind.DEFERRED
    status = reply.status or f"{reply.code // 100}.0.0"
    if reply.code // 100 == 3:  # asks for more where there is no more: not an answer (RFC 3463)
        status = PROTOCOL
    return Outcome(
        kind,
        reply.code,
        status,
        reply.text[:MOST_TEXT],
        to.host,
        to.address,
        to.tls,
        source=to.source,
        answered=reply.answered,
    )


def from_session_reply(reply: ServerReply, to: Spoken, about: str) -> Outcome:
    """Return what a refused greeting, EHLO or HELO means for all that waited for the session.

    It says nothing of any message (RFC 5321 §3.1: the session is rejected, and "the sending system"
    is to be looked after), and a host that is being mended says the same: what waits goes on to the
    next host, or waits on. (Postfix: smtp_skip_5xx_greeting.) Only 521 says that this host never
    takes mail, from whomever (RFC 7504 §3), unless its status says something else: a host that blocks
    us says 521 5.7.1.
    """
    outcome = from_reply(reply, to)
    if outcome.kind is OutcomeKind.DELIVERED:  # a good code in the wrong place
        return deferred(PROTOCOL, f"{about}: {reply.words}", to)
    is_never = reply.code == NEVER_TAKES_MAIL and reply.status[2:] in {"", _NO_SERVICE[1:]}
    if outcome.kind is OutcomeKind.REFUSED and not is_never:
        outcome = changed(outcome, kind=OutcomeKind.DEFERRED)
    if outcome.status[2:4] in _OF_ADDRESSES:  # of no address was anything said yet
        outcome = changed(outcome, status=f"{outcome.status[0]}{_NO_SERVICE}")
    return outcome


def as_given(outcome: Outcome) -> Outcome:
    """Return what it means that there is no session, or a loop, where the settings name the host: they,
    or the host, can be mended.
    """
    is_loop = not outcome.code and outcome.status == LOOP
    if outcome.kind is OutcomeKind.REFUSED and (is_loop or outcome.answered is Answered.SESSION):
        return changed(outcome, kind=OutcomeKind.DEFERRED)
    return outcome


def from_login_refusal(reply: ServerReply | None, to: Spoken, words: str = "") -> Outcome:
    """Return what a refused login means: our settings are wrong, not the message. It waits.

    `words`: what is known beside the reply.
    """
    if reply is None:
        return deferred(LOGIN_FAILED, "the next hop offers no way to log in that we know", to)
    more = f" ({words})" if words else ""
    if reply.code < 400:  # it says yes, and did not prove who it is
        return deferred(LOGIN_FAILED, f"we do not trust the next hop: {words}", to)
    return deferred(LOGIN_FAILED, f"the next hop refused our login: {reply.words}{more}", to)


def says_too_many_recipients(reply: ServerReply) -> bool:
    """Tell whether a recipient was refused only for want of room in this transaction.

    RFC 5321 §4.5.3.1.10: 452, and of old 552, which a mailbox over quota says too: the enhanced
    code must not contradict.
    """
    if reply.code == 452:
        return reply.status in {"4.5.3", ""}
    return reply.code == 552 and reply.status == "5.5.3"


def _from_fault(fault: Fault, to: Spoken, *, slow: bool) -> Outcome:
    where = _SPOKEN.get(fault.phase, "")
    match fault.kind:
        case FaultKind.NEEDS_EIGHT_BIT:
            return refused(NEEDS_EIGHT_BIT, "the next hop does not take 8-bit content", to)
        case FaultKind.NEEDS_BINARY:
            return refused(NEEDS_EIGHT_BIT, "the next hop does not take binary content", to)
        case FaultKind.NEEDS_UTF8:
            return refused(NEEDS_UTF8, "the next hop takes ASCII addresses only (SMTPUTF8)", to)
        case FaultKind.TOO_LARGE:
            return refused(TOO_LARGE, f"the next hop says: {fault.text}", to)
        case FaultKind.GARBAGE:
            return deferred(PROTOCOL, f"the next hop speaks no SMTP {where}: {fault.text}", to)
        case FaultKind.LOST:
            if slow:
                return deferred(CONNECTION_LOST, f"no reply in time {where}{_doubt(fault)}", to)
            if fault.phase is Phase.FINAL_DOT:
                return deferred(CONNECTION_LOST, _DUPLICATE_POSSIBLE, to)
            return deferred(CONNECTION_LOST, f"connection lost {where}", to)


def _doubt(fault: Fault) -> str:
    return ": it may have arrived, and is sent again" if fault.phase is Phase.FINAL_DOT else ""


def _ours(kind: OutcomeKind, status: str, text: str, to: Spoken | None) -> Outcome:
    to = to or Spoken()
    words = text[:MOST_TEXT]
    return Outcome(kind, 0, status, words, to.host, to.address, to.tls, source=to.source)


def came_to_nothing(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether a session ended before it had seen any content."""
    return all(
        (isinstance(v, Fault) and v.kind is FaultKind.LOST and v.phase not in _AFTER_THE_FACT)
        or (isinstance(v, ServerReply) and v.code == 421)
        for v in verdicts
    )
