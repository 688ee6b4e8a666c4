"""Values for the store's tests."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gatepost.model.delivery import Delivery, DeliveryState, Leased, Outcome, OutcomeKind
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId, WorkerId, identifier
from gatepost.model.submission import Submission
from gatepost.store.leases import Held, Lease
from gatepost.store.protocols import Settlement

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
CONTENT = b"Subject: hello\r\n\r\nGood day.\r\n"
ACCEPTED = Outcome(OutcomeKind.DELIVERED, 250, "2.0.0", "ok", "mx.example", "192.0.2.1:25")
LATER = Outcome(OutcomeKind.DEFERRED, 451, "4.3.0", "later", "mx.example", "192.0.2.1:25")
REFUSED = Outcome(OutcomeKind.REFUSED, 550, "5.1.1", "no", "mx.example", "192.0.2.1:25")

_numbers = itertools.count()


def new_id(at: datetime = NOON) -> str:
    number = next(_numbers)
    return identifier(int(at.timestamp() * 1000) + number // 4096, number % 4096, number)


def submission(**changes: object) -> Submission:
    made = Submission(
        id=SubmissionId(new_id()),
        reverse_path="app@example.com",
        size=len(CONTENT),
        received_at=NOON,
        account=AccountName("app@example.com"),
        message_id="<1@example.com>",
        eight_bit=True,
        utf8=True,
        client="192.0.2.9",
    )
    return replace(made, **changes)


def delivery(of: Submission, recipient: str = "bob@y.example", **changes: object) -> Delivery:
    made = Delivery(
        id=DeliveryId(new_id()),
        submission_id=of.id,
        forward_path=recipient,
        destination=recipient.rpartition("@")[2],
        next_attempt_at=NOON,
        expires_at=NOON + timedelta(days=5),
        account=of.account or "",
    )
    return replace(made, **changes)


def lease(worker: str = "node/1/0", minutes: int = 2) -> Lease:
    return Lease(WorkerId(worker), NOON + timedelta(minutes=minutes))


def event(kind: EventKind = EventKind.DELIVERED, of: Submission | None = None, **facts) -> Event:
    return Event(
        kind, NOON, None if of is None else of.id, None, None if of is None else of.account, facts
    )


def held(leased: Leased) -> Held:
    return Held(leased.delivery.id, leased.fence)


def settled(leased: Leased, state=DeliveryState.DELIVERED, outcome=ACCEPTED, **more) -> Settlement:
    return Settlement(held(leased), state, outcome, more.pop("events", ()), **more)
