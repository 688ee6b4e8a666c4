"""Tells senders what became of their mail: returns and delay notices (RFC 3464, RFC 5321 §6.1).

Settling leaves a note that a sender is owed one (decision 11); here it is composed, and enters by
the same door as any message. All workers look for notes: in the transaction that accepts a return
they are struck out, and one that finds that a neighbour has told of some of them stores nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from time import monotonic
from typing import Final

from gatepost.model.delivery import DeliveryState, Outcome, OutcomeKind
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.submission import Submission
from gatepost.returns.budget import OverBudgetError, is_for_a_stranger, is_spent, spend
from gatepost.returns.stumbling import Stumbling
from gatepost.store.notices import DueNotice, NoticeKind
from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    Reading,
    Settlement,
    Store,
    StoreUnavailableError,
    Transaction,
)
from gatepost.wire.message.dsn import Action, Report, ReportedRecipient, compose
from gatepost.wire.smtp.notification import Ret

_log = logging.getLogger(__name__)

_AT_ONCE = 100
#: Looked at in any case so often, in seconds: a neighbour may have died with notes of its own.
_LOOK = 30.0
_STORE_PAUSE = 2.0

_CLASS: Final = {
    Action.DELAYED: 4,
    Action.DELIVERED: 2,
    Action.RELAYED: 2,
    Action.FAILED: 5,
    Action.EXPIRED: 5,
}

#: What shares a report.
_Key = tuple[SubmissionId, NoticeKind]


@dataclass(frozen=True, slots=True)
class ReturnMessage:
    """A report that is to be accepted: null reverse-path, one forward-path. `lane` and `priority`
    are those of the message that it tells of (RFC 6710 §4.6); so is `account` ("": none), whose share it
    takes: who has many reports to hosts that say nothing delays nobody else's.
    """

    submission_id: SubmissionId
    forward_path: str
    content: bytes
    lane: Lane = Lane.TRANSACTIONAL
    priority: int = 0
    account: str = ""


class NotOwedError(Exception):
    """Somebody has told meanwhile of what a report is about, or of a part of it."""


#: Strikes out what a return tells of, in the transaction that accepts it; False: none of it is owed
#: any more, and nothing was changed. Raises NotOwedError where a part of it is not.
StrikeOut = Callable[[Transaction], bool]
#: Accepts a return durably, and strikes out; False: it can never be accepted, and nothing was struck.
#: Raises StoreUnavailableError where it is worth trying again, NotOwedError.
AcceptReturn = Callable[[ReturnMessage, StrikeOut], Awaitable[bool]]


class Notifier:
    """Sends what is owed.

    Args:
        store: where the notes are.
        hostname: ours.
        accept: see AcceptReturn.
        now: the time, UTC.
        strangers: how many reports an hour go to those who have not logged in.
        time: seconds of a clock that is never set.

    """

    def __init__(
        self,
        store: Store,
        hostname: str,
        accept: AcceptReturn,
        *,
        now: Callable[[], datetime],
        strangers: int = 1 << 30,
        time: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._hostname = hostname
        self._accept = accept
        self._now = now
        self._strangers = strangers
        self._wake = asyncio.Event()
        self._after: DueNotice | None = None
        self._time = time
        self._stumbling: Stumbling[_Key] = Stumbling()

    def heard(self, settlements: Sequence[Settlement], _: set[DeliveryId]) -> None:
        """Listen to a Settler: look for notes soon."""
        if any(s.notice is not None for s in settlements):
            self._wake.set()

    async def run(self) -> None:
        """Send what is owed, for ever."""
        while True:
            pause = _LOOK
            self._wake.clear()
            try:
                while await self.send_due():
                    pass
            except StoreUnavailableError as trouble:
                _log.warning("returns wait for the store: %s", trouble)
                pause = _STORE_PAUSE
            except Exception as fault:  # noqa: BLE001 - the top of a task: the worker goes on
                _tell_fault("returns wait: a fault of ours", fault)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def send_due(self) -> bool:
        """Send some; True when there may be more.

        Raises:
            StoreUnavailableError: the rest stays owed.

        """
        after, self._after = self._after, None
        due = await self._store.read(lambda store: store.notices_due(limit=_AT_ONCE, after=after))
        for notices in grouped(due):
            await self._send(notices)
        if len(due) < _AT_ONCE:
            return False
        self._after = due[-1]  # what could not be told of yet holds up no other
        return True

    async def _send(self, notices: Sequence[DueNotice]) -> None:
        """Send one report, or put it off: it holds up no other, whatever is wrong with it.

        Raises:
            StoreUnavailableError: nothing can be sent now.

        """
        key, at = (notices[0].submission.id, notices[0].kind), self._time()
        if self._stumbling.waits(key, at):
            return
        try:
            await self._settle(notices, key)
        except NotOwedError:
            self._wake.set()  # what a neighbour has not told of is still owed
        except ContentAwayError as trouble:
            _log.warning("a return waits for the content that it is about: %s", trouble)
            self._stumbling.note(key, at)
        except StoreUnavailableError:
            raise
        except Exception as fault:  # noqa: BLE001 - our own fault, with this one report
            _tell_fault(f"a report about {key[0]} failed, and is tried again", fault)
            self._stumbling.note(key, at)
        else:
            self._stumbling.forget(key)

    async def _settle(self, notices: Sequence[DueNotice], key: _Key) -> None:
        wanted = [n for n in notices if is_wanted(n)]
        why = ""
        try:
            if self._stumbling.is_hopeless(key, self._time()):
                why = "it could not be made for hours, by a fault of ours"
            elif wanted and await self._report(
                notices, wanted, bare=self._stumbling.is_to_be_bare(key)
            ):
                return
        except OverBudgetError:
            why = f"{self._strangers} reports went to strangers in the last hour"
        await self._store.write(self._strike_out(notices, wanted, is_sent=False, why=why))

    def _strike_out(
        self,
        notices: Sequence[DueNotice],
        wanted: Sequence[DueNotice],
        *,
        is_sent: bool,
        why: str = "",
    ) -> StrikeOut:
        kind = EventKind.RETURNED if is_sent else EventKind.RETURN_DROPPED
        identifier = return_id(wanted) if wanted else SubmissionId("")
        events = [_event(n, kind, self._now(), identifier, why) for n in wanted]
        if is_sent and is_for_a_stranger(wanted[0].submission):
            return partial(_strike_out_within, self._strangers, notices, events)
        return partial(_strike_out, notices, events)

    async def _report(
        self, notices: Sequence[DueNotice], wanted: Sequence[DueNotice], *, bare: bool
    ) -> bool:
        """Accept one report, and strike out all that it settles; `bare`: without the message that it
        is about. False when it can never be accepted.

        Raises:
            ContentAwayError: the message cannot be read now.
            OverBudgetError: it would go to a stranger, and enough did in this hour.

        """
        submission, identifier = wanted[0].submission, return_id(wanted)
        strike_out = self._strike_out(notices, wanted, is_sent=True)
        if is_for_a_stranger(submission):
            at, most = self._now(), self._strangers
            if await self._store.read(lambda store: is_spent(store, at, most)):
                raise OverBudgetError
        original = b""
        if not bare:
            original = await self._store.read(lambda store: _original(store, submission.id))
        report = report_on(wanted, identifier, original, self._hostname, self._now())
        message = ReturnMessage(
            identifier,
            submission.reverse_path,
            compose(report),
            wanted[0].delivery.lane,
            submission.priority,
            submission.account or "",
        )
        return await self._accept(message, strike_out)


def _strike_out(
    notices: Sequence[DueNotice], events: Sequence[Event], transaction: Transaction
) -> bool:
    """`StrikeOut`, with the events that tell of it."""
    owed = [transaction.clear_notice(each.delivery.id, each.kind) for each in notices]
    if not any(owed):
        return False
    if not all(owed):
        raise NotOwedError
    transaction.add_events(events)
    return True


def _strike_out_within(
    most: int, notices: Sequence[DueNotice], events: Sequence[Event], transaction: Transaction
) -> bool:
    """`StrikeOut` for a report to a stranger. Raises OverBudgetError."""
    if is_spent(transaction, events[0].at, most):
        raise OverBudgetError
    is_owed = _strike_out(notices, events, transaction)
    if is_owed:
        spend(transaction, events[0].at)
    return is_owed


def _tell_fault(words: str, fault: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": words, "exception": fault})


def is_wanted(notice: DueNotice) -> bool:
    """Tell whether a notice is still to be sent: never for the null reverse-path (RFC 5321 §6.1),
    and no delay notice for what has come to its end meanwhile."""
    if not notice.submission.reverse_path:
        return False
    return not (notice.kind is NoticeKind.WARNING and notice.delivery.state.is_final)


def grouped(notices: Iterable[DueNotice]) -> list[list[DueNotice]]:
    """Return what may share one report: recipients of one submission that failed together."""
    groups: dict[tuple[SubmissionId, NoticeKind], list[DueNotice]] = {}
    for notice in notices:
        groups.setdefault((notice.submission.id, notice.kind), []).append(notice)
    return list(groups.values())


def return_id(notices: Sequence[DueNotice]) -> SubmissionId:
    """Return the id of a return, in the form of all ids (RFC 9562 §5.7) and as old as the first
    of its deliveries."""
    names = sorted(n.delivery.id for n in notices)
    kind = notices[0].kind.name.lower()
    digest = sha256(":".join((kind, *names)).encode()).hexdigest()
    variant = "89ab"[int(digest[3], 16) & 3]
    return SubmissionId(f"{names[0][:12]}7{digest[:3]}{variant}{digest[4:19]}")


def report_on(
    notices: Sequence[DueNotice],
    identifier: SubmissionId,
    original: bytes,
    hostname: str,
    at: datetime,
) -> Report:
    """Return the report for notices of one submission."""
    submission: Submission = notices[0].submission
    return Report(
        hostname=hostname,
        to=submission.reverse_path,
        identifier=identifier,
        at=at,
        boundary=f"report{identifier}",
        recipients=[_recipient(n) for n in notices],
        original=original,
        arrived_at=submission.received_at,
        envelope_id=submission.envid,
        hold=submission.hold,
        whole=submission.ret is Ret.FULL,
    )


def _recipient(notice: DueNotice) -> ReportedRecipient:
    delivery = notice.delivery
    outcome = delivery.last_outcome or Outcome(OutcomeKind.DEFERRED)
    action = _action(notice, outcome)
    status = _status(action, outcome.status)
    return ReportedRecipient(
        forward_path=delivery.forward_path,
        action=action,
        status=status,
        diagnostic=outcome.words if outcome.code else outcome.text,
        remote_host=outcome.host if outcome.code else "",
        retry_until=delivery.expires_at if action is Action.DELAYED else None,
        original_recipient=delivery.wishes.orcpt,
    )


def _status(action: Action, status: str) -> str:
    """Return a status of the class that an action means (RFC 3463 §2), whatever a server said: the code
    of the actual trouble is better than X.4.7 (§3.5).
    """
    if not status:
        return "5.4.7" if action is Action.EXPIRED else status
    return f"{_CLASS[action]}{status[1:]}"


def _action(notice: DueNotice, outcome: Outcome) -> Action:
    match notice.kind:
        case NoticeKind.WARNING:
            return Action.DELAYED
        case NoticeKind.SUCCESS:
            return Action.DELIVERED if outcome.in_mailbox else Action.RELAYED
        case NoticeKind.RETURN:
            expired = notice.delivery.state is DeliveryState.EXPIRED
            return Action.EXPIRED if expired else Action.FAILED


def _event(
    notice: DueNotice, kind: EventKind, at: datetime, identifier: SubmissionId, why: str
) -> Event:
    facts: dict[str, Fact] = {
        "recipient": notice.delivery.forward_path,
        "to": notice.submission.reverse_path,
        "return": identifier,
        "warning": notice.kind is NoticeKind.WARNING,
        "about": notice.kind.name.lower(),
    }
    if why:
        facts["reason"] = why
    submission = notice.submission
    return Event(kind, at, submission.id, notice.delivery.id, submission.account, facts)


def _original(store: Reading, submission_id: SubmissionId) -> bytes:
    try:
        return store.content(submission_id) or b""
    except ContentDamagedError:
        return b""  # the report says what became of it; its header section is lost
