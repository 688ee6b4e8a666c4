"""One outcome, one settlement: state, events, notices."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gatepost.model.delivery import Delivery, DeliveryState, Leased, Outcome, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.settings import RetrySettings
from gatepost.model.submission import Origin, Submission
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.returns.settlement import Result, settlement, without_words
from gatepost.returns.suppression import added
from gatepost.store.notices import NoticeKind
from gatepost.wire.smtp.notification import Notify, RecipientWishes

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = RetrySettings()
SUBMISSION = Submission(
    SubmissionId("s"), "a@x.example", 10, NOON - timedelta(hours=1), account=AccountName("app")
)
DELIVERY = Delivery(
    id=DeliveryId("d"),
    submission_id=SubmissionId("s"),
    forward_path="b@y.example",
    destination="y.example",
    next_attempt_at=NOON,
    expires_at=NOON + timedelta(days=5),
    attempts=1,
)
LEASED = Leased(DELIVERY, SUBMISSION, 7)
NULL = replace(LEASED, submission=replace(SUBMISSION, reverse_path=""))
OLD = replace(LEASED, submission=replace(SUBMISSION, received_at=NOON - timedelta(hours=5)))
LATE = replace(LEASED, delivery=replace(DELIVERY, expires_at=NOON))
WARNED = replace(OLD, delivery=replace(DELIVERY, warned=True))

S, E, K, N = DeliveryState, EventKind, OutcomeKind, NoticeKind

CASES = [  # whose, outcome -> state, events, notice
    (LEASED, K.DELIVERED, S.DELIVERED, [E.DELIVERED], None),
    (LEASED, K.CAPTURED, S.CAPTURED, [E.CAPTURED], None),
    (LEASED, K.DISCARDED, S.DELIVERED, [E.DISCARDED], None),
    (LEASED, K.REFUSED, S.REFUSED, [E.REFUSED], N.RETURN),
    (NULL, K.REFUSED, S.REFUSED, [E.REFUSED, E.RETURN_DROPPED], None),
    (LEASED, K.DEFERRED, S.DUE, [E.DEFERRED], None),
    (OLD, K.DEFERRED, S.DUE, [E.DEFERRED, E.DELAYED], N.WARNING),
    (WARNED, K.DEFERRED, S.DUE, [E.DEFERRED], None),
    (LATE, K.DEFERRED, S.EXPIRED, [E.EXPIRED], N.RETURN),
]


@pytest.mark.parametrize(("leased", "kind", "state", "events", "notice"), CASES)
def test_settlement(
    leased: Leased,
    kind: OutcomeKind,
    state: DeliveryState,
    events: list[EventKind],
    notice: NoticeKind | None,
) -> None:
    outcome = Outcome(kind, 250, "2.0.0", "words", "mx", "192.0.2.1:25")
    found = settlement(Result(leased, outcome), NOON, SETTINGS, 0.5)
    assert (found.held.id, found.held.fence) == ("d", 7)
    assert found.state is state
    assert [e.kind for e in found.events] == events
    assert found.notice is notice
    assert found.outcome == outcome


def test_a_deferral_says_when_and_why() -> None:
    outcome = Outcome(K.DEFERRED, 450, "4.2.0", "greylisted", "mx", "192.0.2.1:25")
    found = settlement(Result(LEASED, outcome), NOON, SETTINGS, 0.5)
    again = NOON + timedelta(minutes=10)  # the second attempt
    assert found.next_attempt_at == again
    assert found.reason == "450 4.2.0 greylisted"
    assert found.events[0].facts == {
        "recipient": "b@y.example",
        "attempt": 2,
        "code": 450,
        "status": "4.2.0",
        "text": "greylisted",
        "host": "mx",
        "address": "192.0.2.1:25",
        "next_attempt_at": again.isoformat(),
    }
    assert found.events[0].account == "app"


def test_time_that_ran_out_keeps_the_last_outcome() -> None:
    last = Outcome(K.DEFERRED, 450, "4.2.0", "greylisted")
    leased = replace(LEASED, delivery=replace(DELIVERY, last_outcome=last))
    found = settlement(Result(leased, None, attempted=False, expired=True), NOON, SETTINGS, 0.5)
    assert found.state is S.EXPIRED
    assert found.outcome == last
    assert found.events[0].facts["text"] == "greylisted"


def test_what_came_to_no_outcome_is_given_up() -> None:
    found = settlement(Result(LEASED, None), NOON, SETTINGS, 0.5)
    assert (found.state, found.outcome, found.notice) == (S.EXPIRED, None, N.RETURN)


@pytest.mark.rfc("5321#6.1")
@pytest.mark.parametrize(
    ("reverse_path", "origin", "notify", "why"),
    [
        ("", Origin.SUBMISSION, None, None),
        ("", Origin.MX, None, None),
        ("a@x.example", Origin.SUBMISSION, Notify.NEVER, "the sender asked not to be told"),
        ("a@x.example", Origin.MX, Notify.NEVER,
         "neither SPF nor DMARC says that its sender sent it"),
    ],
)  # fmt: skip
def test_why_nobody_is_told_stands_in_the_event(
    reverse_path: str, origin: Origin, notify: Notify | None, why: str | None
) -> None:
    leased = replace(
        LEASED,
        delivery=replace(DELIVERY, wishes=RecipientWishes(notify)),
        submission=replace(SUBMISSION, reverse_path=reverse_path, origin=origin),
    )
    refused = Outcome(K.REFUSED, 550, "5.7.1", "no", "mx")
    told = settlement(Result(leased, refused), NOON, SETTINGS, 0.5).events[-1]
    assert told.kind is E.RETURN_DROPPED
    assert told.facts.get("reason") == why


def test_where_words_cannot_be_stored_the_rest_is() -> None:
    refused = Outcome(K.REFUSED, 550, "5.1.1", "\ud800", "mx", "192.0.2.1:25", "TLSv1.3")
    found = settlement(Result(LEASED, refused), NOON, SETTINGS, 0.5)
    gone = Suppression("b@y.example", SuppressionClass.BOUNCED, NOON, reason="\ud800")
    written = replace(found, suppression=gone, events=[*found.events, added(gone, NOON)])
    kept = without_words(written)
    assert (kept.state, kept.notice, kept.reason) == (S.REFUSED, N.RETURN, "")
    assert kept.outcome == Outcome(K.REFUSED, 550, "5.1.1", "what was said could not be stored")
    assert kept.suppression == replace(gone, reason="")
    assert [(e.kind, e.facts) for e in kept.events] == [
        (E.REFUSED, {"recipient": "b@y.example", "attempt": 2, "code": 550, "status": "5.1.1"})
    ]


PASSED_ON = {"reports": True}
NOTIFICATIONS = [  # NOTIFY, what became of it, of the outcome -> notice
    (None, K.DELIVERED, {}, None),
    (Notify.SUCCESS, K.DELIVERED, {}, N.SUCCESS),
    (Notify.SUCCESS, K.DELIVERED, {"in_mailbox": True}, N.SUCCESS),
    (Notify.SUCCESS, K.DELIVERED, PASSED_ON, None),
    (Notify.FAILURE, K.DELIVERED, {}, None),
    (Notify.NEVER, K.DELIVERED, {}, None),
    (Notify.SUCCESS, K.CAPTURED, {}, None),
    (Notify.SUCCESS, K.DISCARDED, {}, None),
    (Notify.SUCCESS, K.REFUSED, {}, None),
    (Notify.FAILURE, K.REFUSED, {}, N.RETURN),
    (Notify.FAILURE, K.REFUSED, PASSED_ON, N.RETURN),
    (Notify.NEVER, K.REFUSED, {}, None),
    (Notify.DELAY, K.DEFERRED, {}, N.WARNING),
    (None, K.DEFERRED, {}, N.WARNING),
    (Notify.FAILURE, K.DEFERRED, {}, None),
    (Notify.NEVER, K.DEFERRED, {}, None),
]


@pytest.mark.rfc("3461#5.2.2", "3461#5.2.3", "3461#5.2.5", "3461#5.2.6")
@pytest.mark.parametrize("reverse_path", ["a@x.example", ""])
@pytest.mark.parametrize(("notify", "kind", "more", "notice"), NOTIFICATIONS)
def test_the_sender_hears_what_he_asked_for(
    notify: Notify | None,
    kind: OutcomeKind,
    more: dict[str, bool],
    notice: NoticeKind | None,
    reverse_path: str,
) -> None:
    leased = replace(
        OLD,
        delivery=replace(DELIVERY, wishes=RecipientWishes(notify)),
        submission=replace(OLD.submission, reverse_path=reverse_path),
    )
    outcome = replace(Outcome(kind, 250, "2.0.0", "words", "mx"), **more)
    found = settlement(Result(leased, outcome), NOON, SETTINGS, 0.5)
    assert found.notice is (notice if reverse_path else None)
    told = [e.kind for e in found.events]
    assert (E.RETURN_DROPPED in told) is (kind is K.REFUSED and found.notice is None)


def test_a_message_for_later_is_late_from_its_release_on() -> None:
    later = replace(OLD, submission=replace(OLD.submission, release_at=NOON - timedelta(hours=3)))
    outcome = Outcome(K.DEFERRED, 450, "4.2.0", "greylisted")
    assert settlement(Result(later, outcome), NOON, SETTINGS, 0.5).notice is None


def test_one_time_passwords_are_tried_again_soon() -> None:
    otp = replace(LEASED, delivery=replace(DELIVERY, lane=Lane.OTP, attempts=0))
    outcome = Outcome(K.DEFERRED, 450, "4.2.0", "greylisted")
    found = settlement(Result(otp, outcome), NOON, SETTINGS, 0.5)
    assert found.next_attempt_at == NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("waited", "rests", "attempted", "minutes"),
    [  # how long it has waited, how long its site rests -> when it comes again
        (timedelta(0), 1, False, 5),
        (timedelta(0), 7, False, 7),
        (timedelta(hours=1), 1, False, 15),
        (timedelta(days=2), 1, False, 240),
        (timedelta(hours=1), None, True, 10),
        (timedelta(hours=1), None, False, 5),
    ],
)
def test_what_is_put_off_uncalled_comes_again_by_its_age(
    waited: timedelta, rests: int | None, attempted: bool, minutes: int
) -> None:
    message = replace(SUBMISSION, received_at=NOON - waited)
    until = None if rests is None else NOON + timedelta(minutes=rests)
    outcome = Outcome(K.DEFERRED, 0, "4.3.2", "left alone")
    leased = replace(LEASED, submission=message)
    result = Result(leased, outcome, attempted=attempted, rests_until=until)
    written = settlement(result, NOON, SETTINGS, 0.5)
    assert written.next_attempt_at == NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("left", "minutes"),
    [  # of its time -> when it comes again; its site rests for three minutes more
        (timedelta(hours=1), 60),
        (timedelta(minutes=4), 4),  # too little for a pause as ever
        (timedelta(minutes=1), 3),
        (timedelta(0), 3),
    ],
)
def test_what_is_put_off_uncalled_is_not_given_up_while_its_site_rests(
    left: timedelta, minutes: int
) -> None:
    message = replace(SUBMISSION, received_at=NOON - timedelta(days=4))
    delivery = replace(DELIVERY, expires_at=NOON + left)
    outcome = Outcome(K.DEFERRED, 0, "4.3.2", "left alone")
    leased, until = Leased(delivery, message, 7), NOON + timedelta(minutes=3)
    result = Result(leased, outcome, attempted=False, rests_until=until)
    written = settlement(result, NOON, SETTINGS, 0.5)
    assert written.next_attempt_at == NOON + timedelta(minutes=minutes)
