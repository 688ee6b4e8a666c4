"""One outcome -> one settlement with its events: the rule of room 8, pure."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from gatepost.model.delivery import DeliveryState, Leased, Outcome, OutcomeKind
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.submission import Origin, Submission
from gatepost.queue.expiry import is_delay_notice_due, wants
from gatepost.queue.retry import next_attempt, pace
from gatepost.store.leases import Held
from gatepost.store.notices import NoticeKind
from gatepost.store.protocols import Settlement
from gatepost.wire.smtp.notification import Notify
from gatepost.wire.values import value

if TYPE_CHECKING:
    from gatepost.model.settings import RetrySettings


@value(frozen=True, slots=True)
class Result:
    """What one attempt (or the decision not to make one) came to.

    `attempted`: an attempt was counted for it. `expired`: there was no time left for one. `rests_until`:
    the site was not called, and will not be before then.
    """

    leased: Leased
    outcome: Outcome | None
    attempted: bool = True
    expired: bool = False
    rests_until: datetime | None = None


#: A message that has waited for an hour waits a quarter of an hour more.
_SHARE_OF_AGE: Final = 4
_FINAL: Final = {
    OutcomeKind.DELIVERED: (DeliveryState.DELIVERED, EventKind.DELIVERED),
    OutcomeKind.CAPTURED: (DeliveryState.CAPTURED, EventKind.CAPTURED),
    OutcomeKind.DISCARDED: (DeliveryState.DELIVERED, EventKind.DISCARDED),
    OutcomeKind.REFUSED: (DeliveryState.REFUSED, EventKind.REFUSED),
}


def settlement(
    result: Result, at: datetime, settings: "RetrySettings", spread: float
) -> Settlement:
    """Return what is to be written.

    Args:
        result: whose, and what.
        at: now, UTC.
        settings: `[retry]`.
        spread: 0.0-1.0, see `next_attempt`.

    """
    outcome = result.outcome
    if result.expired or outcome is None:
        return _given_up(result, at)
    if outcome.kind is not OutcomeKind.DEFERRED:
        state, kind = _FINAL[outcome.kind]
        return _final(result, at, state, kind)
    delivery = result.leased.delivery
    attempts = delivery.attempts + result.attempted
    paced = pace(delivery.lane, settings)
    again = next_attempt(attempts, delivery.expires_at, at, paced, spread)
    if result.rests_until is not None:
        return _again(
            result, at, max(_by_age(result, at, again, paced), result.rests_until), settings
        )
    if again is None:
        return _given_up(result, at)
    return _again(result, at, again, settings)


def _by_age(
    result: Result, at: datetime, again: datetime | None, settings: "RetrySettings"
) -> datetime:
    """Return when what was put off without a call comes again, when its time is over at the latest: no
    attempt is counted, so it backs off by its age, lest all that waits for a site that refuses us
    comes back every few minutes.
    """
    expires_at = result.leased.delivery.expires_at
    waited = at - result.leased.submission.received_at
    aged = at + min(waited / _SHARE_OF_AGE, settings.longest)
    return min(max(again or expires_at, aged), expires_at)


#: What we make ourselves of what others said.
_OURS: Final = ("recipient", "attempt", "code", "status", "next_attempt_at")
_UNWRITTEN: Final = "what was said could not be stored"


def without_words(written: Settlement) -> Settlement:
    """Return what came of a delivery, without anything that another server said."""
    outcome, suppression = written.outcome, written.suppression
    if outcome is not None:
        outcome = replace(outcome, text=_UNWRITTEN, host="", address="", tls="", source="")
    if suppression is not None:
        suppression = replace(suppression, reason="")
    events = [
        replace(event, facts={name: event.facts[name] for name in _OURS if name in event.facts})
        for event in written.events
        if event.kind is not EventKind.SUPPRESSION_ADDED
    ]
    reason = _UNWRITTEN if written.reason else ""
    return replace(written, outcome=outcome, suppression=suppression, events=events, reason=reason)


def _final(result: Result, at: datetime, state: DeliveryState, kind: EventKind) -> Settlement:
    leased, outcome = result.leased, result.outcome
    reverse_path = leased.submission.reverse_path
    notify = leased.delivery.wishes.notify
    events = [_event(result, kind, at)]
    notice: NoticeKind | None = None
    if state in {DeliveryState.REFUSED, DeliveryState.EXPIRED}:
        if reverse_path and wants(notify, Notify.FAILURE):
            notice = NoticeKind.RETURN
        else:
            # RFC 5321 §6.1: a return that cannot be delivered is told to nobody.
            why = _why_untold(leased.submission) if reverse_path else ""
            more: dict[str, Fact] = {"reason": why} if why else {}
            events.append(_event(result, EventKind.RETURN_DROPPED, at, **more))
    elif outcome is not None and _is_success_due(outcome, reverse_path, notify):
        notice = NoticeKind.SUCCESS
    return Settlement(
        held=Held(leased.delivery.id, leased.fence),
        state=state,
        outcome=outcome or leased.delivery.last_outcome,
        events=events,
        notice=notice,
        submission=leased.submission,
        destination=leased.delivery.destination,
    )


def _why_untold(submission: Submission) -> str:
    if (
        submission.origin is Origin.MX
    ):  # its door asks for no wishes, and says so where none is told
        return "neither SPF nor DMARC says that its sender sent it"
    return "the sender asked not to be told"


def _is_success_due(outcome: Outcome, reverse_path: str, notify: Notify | None) -> bool:
    """Tell whether the sender is to hear of a success: he asked for it, and who took the message
    will not tell (RFC 3461 §5.2.2, §5.2.3).
    """
    if notify is None or not reverse_path or outcome.kind is not OutcomeKind.DELIVERED:
        return False
    return Notify.SUCCESS in notify and not outcome.reports


def _given_up(result: Result, at: datetime) -> Settlement:
    return _final(result, at, DeliveryState.EXPIRED, EventKind.EXPIRED)


def _again(result: Result, at: datetime, again: datetime, settings: "RetrySettings") -> Settlement:
    leased = result.leased
    reason = result.outcome.words if result.outcome else ""
    warn = is_delay_notice_due(leased.delivery, leased.submission, at, settings)
    deferral = _event(result, EventKind.DEFERRED, at, next_attempt_at=again.isoformat())
    events = [deferral]
    if warn:
        events.append(_event(result, EventKind.DELAYED, at, next_attempt_at=again.isoformat()))
    return Settlement(
        held=Held(leased.delivery.id, leased.fence),
        state=DeliveryState.DUE,
        outcome=result.outcome,
        events=events,
        next_attempt_at=again,
        reason=reason,
        notice=NoticeKind.WARNING if warn else None,
    )


def _event(result: Result, kind: EventKind, at: datetime, **more: Fact) -> Event:
    delivery, submission = result.leased.delivery, result.leased.submission
    facts: dict[str, Fact] = {
        "recipient": delivery.forward_path,
        "attempt": delivery.attempts + result.attempted,
    }
    outcome = result.outcome or delivery.last_outcome
    if outcome is not None:
        if outcome.code:
            facts["code"] = outcome.code
        said = {
            "status": outcome.status,
            "text": outcome.text,
            "host": outcome.host,
            "address": outcome.address,
            "tls": outcome.tls,
            "source": outcome.source,
            "answered": outcome.answered,
        }
        facts.update({name: value for name, value in said.items() if value})
    facts.update(more)
    return Event(kind, at, submission.id, delivery.id, submission.account, facts)
