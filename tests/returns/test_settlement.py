"""One outcome, one settlement: state, events, notices."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gatepost.model.delivery import Delivery, DeliveryState, Leased, Outcome, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId
from gatepost.model.settings import RetrySettings
from gatepost.model.submission import Submission
from gatepost.returns.settlement import Result, settlement

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

S, E, K = DeliveryState, EventKind, OutcomeKind

CASES = [  # whose, outcome -> state, events, return due, warning due
    (LEASED, K.DELIVERED, S.DELIVERED, [E.DELIVERED], False, False),
    (LEASED, K.CAPTURED, S.CAPTURED, [E.CAPTURED], False, False),
    (LEASED, K.DISCARDED, S.DELIVERED, [E.DISCARDED], False, False),
    (LEASED, K.REFUSED, S.REFUSED, [E.REFUSED], True, False),
    (NULL, K.REFUSED, S.REFUSED, [E.REFUSED, E.RETURN_DROPPED], False, False),
    (LEASED, K.DEFERRED, S.DUE, [E.DEFERRED], False, False),
    (OLD, K.DEFERRED, S.DUE, [E.DEFERRED, E.DELAYED], False, True),
    (WARNED, K.DEFERRED, S.DUE, [E.DEFERRED], False, False),
    (LATE, K.DEFERRED, S.EXPIRED, [E.EXPIRED], True, False),
]


@pytest.mark.parametrize(("leased", "kind", "state", "events", "returned", "warned"), CASES)
def test_settlement(
    leased: Leased,
    kind: OutcomeKind,
    state: DeliveryState,
    events: list[EventKind],
    returned: bool,
    warned: bool,
) -> None:
    outcome = Outcome(kind, 250, "2.0.0", "words", "mx", "192.0.2.1:25")
    found = settlement(Result(leased, outcome), NOON, SETTINGS, 0.5)
    assert (found.held.id, found.held.fence) == ("d", 7)
    assert found.state is state
    assert [e.kind for e in found.events] == events
    assert (found.return_due, found.warning_due) == (returned, warned)
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
