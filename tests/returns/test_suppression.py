"""Which refusals suppress a recipient: those that say it is gone, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gatepost.model.delivery import Delivery, DeliveryState, Leased, Outcome, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId
from gatepost.model.settings import RetrySettings
from gatepost.model.submission import Origin, Submission
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.returns.settlement import Result, settlement
from gatepost.returns.suppression import suppression_for, with_suppression
from gatepost.wire.smtp.reply_reader import Answered

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SENT = Submission(SubmissionId("s"), "a@x.example", 10, NOON, account=AccountName("app"))
DELIVERY = Delivery(
    DeliveryId("d"), SENT.id, "Bob@y.example", "y.example", NOON, NOON + timedelta(days=5)
)
LEASED = Leased(DELIVERY, SENT, 1)
GONE = Outcome(
    OutcomeKind.REFUSED, 550, "5.1.1", "User unknown", "mx", "192.0.2.1:25", answered=Answered.RCPT
)


def test_who_is_gone_is_suppressed_for_the_account_that_sent() -> None:
    assert suppression_for(Result(LEASED, GONE), NOON) == Suppression(
        "bob@y.example", SuppressionClass.BOUNCED, NOON, AccountName("app"), reason=GONE.words
    )


@pytest.mark.parametrize(
    "outcome",
    [
        replace(GONE, status="5.1.10", text="RESOLVER.ADR.RecipientNotFound"),
        replace(GONE, status="5.2.1", text="The email account is disabled"),
        replace(GONE, status="5.1.6", text="moved"),
        replace(GONE, answered=Answered.CONTENT_FOR_ONE),
        replace(GONE, code=500),
    ],
)
def test_these_suppress(outcome: Outcome) -> None:
    assert suppression_for(Result(LEASED, outcome), NOON)


@pytest.mark.parametrize(
    "outcome",
    [
        None,
        replace(GONE, kind=OutcomeKind.DEFERRED, code=450),
        replace(GONE, kind=OutcomeKind.DEFERRED),
        replace(GONE, status="5.7.1", text="no"),
        replace(GONE, status="5.0.0"),
        replace(GONE, status="5.1.2", code=0, text="no such domain"),
        replace(GONE, status="5.1.10", code=0, text="null MX"),
        replace(GONE, status="5.2.2", text="mailbox full"),
        replace(GONE, text="User unknown, or blocked by our spam filter"),
        replace(GONE, text="listed at dnsbl.example"),
        replace(GONE, text="sender rejected"),
        replace(GONE, status="5.2.1", text="receiving mail at too high a rate"),
        replace(GONE, kind=OutcomeKind.DELIVERED, code=250, status="2.1.5"),
        replace(GONE, answered=Answered.UNSAID),
        replace(GONE, answered=Answered.SESSION, status="5.2.1"),
        replace(GONE, answered=Answered.MAIL),
        replace(GONE, answered=Answered.DATA),
        replace(GONE, answered=Answered.CONTENT),
    ],
)
def test_these_do_not(outcome: Outcome | None) -> None:
    assert suppression_for(Result(LEASED, outcome), NOON) is None


@pytest.mark.parametrize(
    "changes", [{"origin": Origin.RETURN}, {"origin": Origin.MX}, {"account": None}]
)
def test_only_mail_of_an_account_suppresses(changes: dict) -> None:
    leased = replace(LEASED, submission=replace(SENT, **changes))
    assert suppression_for(Result(leased, GONE), NOON) is None


def test_the_event_is_written_with_the_settlement() -> None:
    result = Result(LEASED, GONE)
    made = with_suppression(settlement(result, NOON, RetrySettings(), 0.5), result, NOON)
    assert made.state is DeliveryState.REFUSED
    assert [event.kind for event in made.events][-1] is EventKind.SUPPRESSION_ADDED
    assert made.events[-1].delivery_id == DELIVERY.id
    assert made.events[-1].facts["subject"] == "bob@y.example"
    assert made.suppression is not None


def test_a_settlement_that_suppresses_nobody_stays_as_it_is() -> None:
    result = Result(LEASED, replace(GONE, status="5.7.1"))
    made = settlement(result, NOON, RetrySettings(), 0.5)
    assert with_suppression(made, result, NOON) is made
