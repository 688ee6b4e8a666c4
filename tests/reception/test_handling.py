"""How urgent, when, and who is told: what an envelope and a header ask for, and what they get."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.lane import LANES, Lane
from gatepost.reception.handling import (
    LANE_FIELD,
    NO_REQUESTS,
    SEND_AT_FIELD,
    Handling,
    Requests,
    Urgency,
    decide,
    parse_moment,
    requests_of,
    urgency,
)
from gatepost.wire.smtp.commands import Mail, Rcpt
from gatepost.wire.smtp.future_release import Hold
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.notification import Notify, RecipientWishes, Ret
from gatepost.wire.smtp.replies import Reply

OTP, TRANSACTIONAL, BULK = LANES
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
MONTH = timedelta(days=30)

URGENCIES = [  # account's lane, MT-PRIORITY, header -> lane, named, priority passed on
    (None, None, None, (TRANSACTIONAL, None, 0)),
    (OTP, None, None, (OTP, OTP, 4)),
    (BULK, None, None, (BULK, BULK, -4)),
    (TRANSACTIONAL, None, None, (TRANSACTIONAL, TRANSACTIONAL, 0)),
    (None, 9, None, (TRANSACTIONAL, None, 3)),
    (None, -1, None, (BULK, BULK, -1)),
    (None, -9, None, (BULK, BULK, -9)),
    (OTP, 9, None, (OTP, OTP, 9)),
    (OTP, 4, None, (OTP, OTP, 4)),
    (OTP, 3, None, (TRANSACTIONAL, TRANSACTIONAL, 3)),
    (OTP, 0, None, (TRANSACTIONAL, TRANSACTIONAL, 0)),
    (BULK, 9, None, (BULK, BULK, -1)),
    (BULK, 0, None, (BULK, BULK, -1)),
    (OTP, None, BULK, (BULK, BULK, -4)),
    (BULK, None, OTP, (BULK, BULK, -4)),
    (OTP, 5, TRANSACTIONAL, (TRANSACTIONAL, TRANSACTIONAL, 3)),
]


@pytest.mark.rfc("6710#4.1")
@pytest.mark.parametrize(("base", "priority", "wished", "expected"), URGENCIES)
def test_urgency_may_only_be_lowered(
    base: Lane | None,
    priority: int | None,
    wished: Lane | None,
    expected: tuple[Lane, Lane | None, int],
) -> None:
    assert urgency(base, priority, wished) == Urgency(*expected)


@pytest.mark.rfc("4865#4.2")
@pytest.mark.parametrize(
    ("hold", "field", "request_", "release_at"),
    [
        (None, None, "", None),
        (Hold(60), None, "for;60", NOON + timedelta(minutes=1)),
        (
            Hold(until=NOON + timedelta(hours=1)),
            None,
            "until;2026-11-28T13:00:00Z",
            NOON + timedelta(hours=1),
        ),
        (Hold(until=NOON - timedelta(hours=1)), None, "until;2026-11-28T11:00:00Z", None),
        (
            None,
            b"2026-11-28T14:00:00+01:00",
            "until;2026-11-28T13:00:00Z",
            NOON + timedelta(hours=1),
        ),
        (
            None,
            b" Sat, 28 Nov 2026 13:00:00 +0000",
            "until;2026-11-28T13:00:00Z",
            NOON + timedelta(hours=1),
        ),
    ],
)
def test_release(
    hold: Hold | None, field: bytes | None, request_: str, release_at: datetime | None
) -> None:
    fields = {} if field is None else {SEND_AT_FIELD: field}
    found = decide(Requests(hold=hold), fields, None, NOON, MONTH)
    assert found == Handling(Urgency(), request_, release_at)


@pytest.mark.parametrize(
    ("requests", "fields", "words"),
    [
        (NO_REQUESTS, {LANE_FIELD: b"fast"}, "Gatepost-Lane is none of"),
        (NO_REQUESTS, {LANE_FIELD: b"\xff"}, "Gatepost-Lane is none of"),
        (NO_REQUESTS, {SEND_AT_FIELD: b"soon"}, "Gatepost-Send-At is no time"),
        (NO_REQUESTS, {SEND_AT_FIELD: b"2027-01-01T00:00:00Z"}, "too far ahead"),
        (Requests(hold=Hold(1)), {SEND_AT_FIELD: b"2026-11-28T13:00:00Z"}, "give one of them"),
    ],
)
def test_a_field_that_says_nothing_is_refused_by_its_name(
    requests: Requests, fields: dict[bytes, bytes], words: str
) -> None:
    found = decide(requests, fields, None, NOON, MONTH)
    assert isinstance(found, Reply)
    assert (found.code, found.status) == (554, "5.6.0")
    assert words in found.text


def test_a_lane_in_the_header() -> None:
    found = decide(NO_REQUESTS, {LANE_FIELD: b" Bulk "}, OTP, NOON, MONTH)
    assert found == Handling(Urgency(BULK, BULK, -4))


def test_who_asks_for_nothing_costs_nothing() -> None:
    mailbox = Mailbox("a", "b.example")
    assert requests_of(Mail(mailbox, 10), [Rcpt(mailbox)]) is NO_REQUESTS


def test_requests_are_gathered() -> None:
    one, two = Mailbox("a", "b.example"), Mailbox("c", "b.example")
    wishes = RecipientWishes(Notify.SUCCESS, "rfc822;a@b.example")
    mail = Mail(one, ret=Ret.HDRS, envid="7", hold=Hold(9), priority=-3)
    found = requests_of(mail, [Rcpt(one, wishes), Rcpt(two)])
    assert found == Requests(Ret.HDRS, "7", Hold(9), -3, {"a@b.example": wishes})


@given(st.binary(max_size=60))
def test_garbage_is_no_time(text: bytes) -> None:
    found = parse_moment(text)
    assert found is None or found.tzinfo is UTC
