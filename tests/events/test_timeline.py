"""Every event in a sentence; every wait with its reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.events.timeline import sentence, standing, time_words
from gatepost.model.delivery import Delivery, DeliveryState, Outcome, OutcomeKind
from gatepost.model.event import Event, EventKind, LaterKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
REPLY = {"code": 550, "status": "5.1.1", "text": "no such user"}
HOST = {"host": "mx1.example", "address": "192.0.2.1:25"}


def told(kind: EventKind, **facts: Any) -> str:
    return sentence(Event(kind, NOW, account=AccountName("app@example.com"), facts=facts), NOW)


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [
        (
            EventKind.ACCEPTED,
            {
                "client": "192.0.2.9", "mechanism": "PLAIN", "size": 2048, "recipients": 2,
                "tls": "TLSv1.3 X",
            },
            "accepted from account app@example.com at 192.0.2.9 by AUTH PLAIN over TLSv1.3 X (2.0 KiB, 2 recipients)",
        ),
        (EventKind.ACCEPTED, {"recipients": 1, "stream": "news", "unsubscribe": "link added"},
         "accepted from account app@example.com (1 recipient, stream news, link added)"),
        (EventKind.SUPPRESSION_ADDED,
         {"subject": "b@y", "class": "unsubscribed", "stream": "news", "by": "the recipient"},
         "b@y was suppressed for app@example.com as unsubscribed from news by the recipient"),
        (EventKind.ACCEPTED, {"recipients": 1}, "accepted from account app@example.com (1 recipient)"),
        (EventKind.REFUSED, {**REPLY, **HOST},
         "refused by mx1.example [192.0.2.1]:25: 550 5.1.1 no such user"),
        (EventKind.REFUSED, {"status": "5.1.10", "text": "it takes no mail"},
         "refused: 5.1.10 it takes no mail"),
        (EventKind.ATTEMPTED, {"attempt": 2, **HOST},
         "attempt 2 begins to mx1.example [192.0.2.1]:25"),
        (EventKind.ATTEMPTED, {}, "attempt begins"),
        (
            EventKind.DELIVERED,
            {"code": 250, "status": "2.0.0", "text": "OK", "tls": "TLSv1.3 X",
             "host": "mx1.example", "address": "[2001:db8::1]:25"},
            "delivered to mx1.example [2001:db8::1]:25 over TLSv1.3 X: 250 2.0.0 OK",
        ),
        (
            EventKind.DEFERRED,
            {"attempt": 1, "code": 451, "text": "later", "host": "mx1.example",
             "next_attempt_at": "2026-01-02T12:05:00Z"},
            "attempt 1 was deferred by mx1.example: 451 later; waits until 12:05 UTC (in 5 min)",
        ),
        (
            EventKind.DEFERRED,
            {"code": 451, "next_attempt_at": "2026-01-02T11:05:00Z"},
            "deferred: 451; waited until 11:05 UTC (55 min ago)",
        ),
        (EventKind.DELIVERED, {"code": 250, "source": "192.0.2.5", **HOST},
         "delivered to mx1.example [192.0.2.1]:25 from 192.0.2.5: 250"),
        (EventKind.REFUSED, {"code": 550, "source": "192.0.2.5", **HOST},
         "refused by mx1.example [192.0.2.1]:25 (called from 192.0.2.5): 550"),
        (EventKind.TLS_BROKEN, {"clear_for": 120, "text": "x", **HOST},
         "TLS with mx1.example [192.0.2.1]:25 did not come about: it gets clear text for 2 min: x"),
        (EventKind.REFUSED, {"code": 550, "text": "no", "host": "mx1.example", "answered": "MAIL"},
         "refused by mx1.example in reply to MAIL: 550 no"),
        (EventKind.REFUSED, {"code": 550, "text": "no", "host": "mx1.example", "answered": "RCPT"},
         "refused by mx1.example: 550 no"),
        (EventKind.EGRESS_PAUSED, {"source": "192.0.2.5", "by": "ada", "reason": "listed"},
         "source address 192.0.2.5 was paused by ada: listed"),
        (EventKind.EGRESS_RESUMED, {"source": "192.0.2.5", "by": "ada"},
         "source address 192.0.2.5 was resumed by ada"),
        (EventKind.DEFERRED, {"next_attempt_at": "garbage", "reason": "no answer"},
         "deferred - no answer"),
        (EventKind.EXPIRED, {"attempt": 9, "code": 451, "text": "later"},
         "given up after 9 attempts; the last answer was: 451 later"),
        (EventKind.DELAYED, {"reason": "451 later"}, "the sender is told that it is delayed: 451 later"),
        (EventKind.HELD, {"by": "ada"}, "held by ada"),
        (EventKind.RELEASED, {}, "released"),
        (EventKind.RETRIED, {"by": "ada"}, "sent for another attempt now by ada"),
        (EventKind.CANCELLED, {"by": "ada"}, "cancelled by ada"),
        (EventKind.CAPTURED, {}, "captured: kept here for looking at, nothing left the machine"),
        (EventKind.DISCARDED, {}, "discarded, as the route says"),
        (EventKind.RETURNED, {"to": "a@b.example"}, "a return was sent to a@b.example"),
        (EventKind.RETURN_DROPPED, {}, "no return is sent: there is no reverse-path"),
        (EventKind.REFUSED_AT_DOOR, {"client": "192.0.2.9", "code": 550, "text": "no"},
         "we refused app@example.com at 192.0.2.9: 550 no"),
        (EventKind.LOGIN_SUCCEEDED, {"mechanism": "PLAIN", "client": "192.0.2.9"},
         "app@example.com logged in by PLAIN from 192.0.2.9"),
        (EventKind.LOGIN_REFUSED, {"reason": "wrong password", "tag": "abc"},
         "app@example.com was refused a login [abc]: wrong password"),
        (EventKind.ACCOUNT_ADDED, {"by": "ada"}, "account app@example.com was added by ada"),
        (EventKind.ACCOUNT_EXPOSED, {},
         "a password of account app@example.com came in clear, and was right"),
    ],
)  # fmt: skip
def test_an_event_is_told_in_a_sentence(kind: EventKind, facts: dict[str, Any], words: str) -> None:
    assert told(kind, **facts) == words


def test_a_kind_that_only_a_newer_program_knows_is_told_by_its_name() -> None:
    assert sentence(Event(LaterKind("webhook.sent"), NOW), NOW).startswith("webhook.sent (only")


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_a_sentence_even_without_facts(kind: EventKind) -> None:
    assert sentence(Event(kind, NOW), NOW)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW, "12:00 UTC (now)"),
        (NOW + timedelta(minutes=5), "12:05 UTC (in 5 min)"),
        (NOW - timedelta(hours=1), "11:00 UTC (1 h ago)"),
        (NOW + timedelta(days=1, hours=2), "2026-01-03 14:00 UTC (in 1 d 2 h)"),
    ],
)
def test_a_time_is_told_with_its_distance(at: datetime, words: str) -> None:
    assert time_words(at, NOW) == words


_LATER = Outcome(OutcomeKind.DEFERRED, 451, "4.3.0", "later", "mx1.example", "192.0.2.1:25")


def delivery(**changes: Any) -> Delivery:
    values: dict[str, Any] = {
        "id": DeliveryId("0" * 32),
        "submission_id": SubmissionId("1" * 32),
        "forward_path": "a@b.example",
        "destination": "b.example",
        "next_attempt_at": NOW + timedelta(minutes=5),
        "expires_at": NOW + timedelta(days=5),
    }
    return Delivery(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"next_attempt_at": NOW}, "is due now for its first attempt"),
        ({"next_attempt_at": NOW, "attempts": 1}, "is due now"),
        (
            {"next_attempt_at": NOW - timedelta(hours=3)},
            "is due since 09:00 UTC (3 h ago) for its first attempt",
        ),
        (
            {"next_attempt_at": NOW - timedelta(minutes=1), "attempts": 1, "reason": "no answer"},
            "is due since 11:59 UTC (1 min ago): no answer",
        ),
        (
            {"attempts": 1, "last_outcome": _LATER},
            "waits until 12:05 UTC (in 5 min): attempt 1 was deferred: 451 4.3.0 later",
        ),
        ({"reason": "no answer"}, "waits until 12:05 UTC (in 5 min): no answer"),
        ({"state": DeliveryState.LEASED}, "is on its way to its first attempt"),
        ({"state": DeliveryState.LEASED, "attempts": 1}, "is being delivered"),
        ({"state": DeliveryState.HELD}, "is held until somebody releases it"),
        ({"state": DeliveryState.EXPIRED, "last_outcome": _LATER},
         "was given up: the time for trying is over: 451 4.3.0 later"),
        ({"state": DeliveryState.CANCELLED}, "was cancelled"),
    ],
)  # fmt: skip
def test_a_delivery_says_where_it_stands_and_why(changes: dict[str, Any], words: str) -> None:
    assert standing(delivery(**changes), NOW) == words


@pytest.mark.parametrize("state", DeliveryState)
def test_every_state_has_its_words(state: DeliveryState) -> None:
    assert standing(delivery(state=state), NOW)
