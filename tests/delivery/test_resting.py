"""How long a site that refused us is left alone, and what becomes of mail for it meanwhile."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.resting import Rest, Resting, is_called_for, put_off
from gatepost.model.delivery import ASKED_FOR, DeliveryState, Leased, Outcome, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.ids import DeliveryId
from gatepost.model.settings import RetrySettings
from gatepost.net.clock import now
from gatepost.wire.smtp.reply_reader import Answered
from tests.delivery.rig import Rig, one_mx
from tests.sink import Sink
from tests.store.makers import NOON, delivery, submission

MINUTE = timedelta(minutes=1)
BOUNDS = Bounds()
REFUSED = Outcome(OutcomeKind.DEFERRED, 554, "5.7.1", "not you", answered=Answered.SESSION)
REST = Rest(NOON - MINUTE, NOON + MINUTE, REFUSED)
#: The site stays away for the whole test, but for who asks.
LONG_REST = Bounds(look=0.02, dial=5.0, rest=600.0, longest_rest=600.0)


def lengths(resting: Resting, *times: float) -> list[float]:
    """Refuse at these times; return for how long the site rests after each."""
    found = []
    for at in times:
        resting.note("site", REFUSED, at)
        rest = resting.rest("site", at, NOON)
        assert rest is not None
        found.append((rest.until - rest.since).total_seconds())
    return found


def test_a_rest_grows_from_refusal_to_refusal_up_to_five_minutes() -> None:
    assert lengths(Resting(BOUNDS), 0, 60, 180, 420, 720) == [60, 120, 240, 300, 300]


def test_a_rest_that_is_long_over_does_not_make_the_next_one_longer() -> None:
    assert lengths(Resting(BOUNDS), 0, 359, 778, 5000) == [60, 120, 240, 60]


def test_a_site_may_be_called_when_it_has_rested_or_granted_a_session() -> None:
    resting = Resting(BOUNDS)
    resting.note("site", REFUSED, 10.0)
    assert resting.rest("site", 20.0, NOON) == Rest(
        NOON - timedelta(seconds=10), NOON + timedelta(seconds=50), REFUSED
    )
    assert resting.rest("other", 20.0, NOON) is None
    assert resting.rest("site", 70.0, NOON) is None
    resting.served("site")
    assert lengths(resting, 71.0) == [60]


@pytest.mark.parametrize(
    "outcome",
    [
        replace(REFUSED, code=421, status="4.3.2"),
        replace(REFUSED, answered=Answered.RCPT),
        Outcome(OutcomeKind.DEFERRED, 0, "4.4.1", "nobody there"),
    ],
)
def test_only_a_session_that_is_refused_for_good_makes_a_site_rest(outcome: Outcome) -> None:
    resting = Resting(BOUNDS)
    resting.note("site", outcome, 0.0)
    assert resting.rest("site", 0.0, NOON) is None


@pytest.mark.parametrize(
    ("received_at", "expires_at", "attempts", "ends"),
    [
        (NOON - 9 * MINUTE, NOON + MINUTE, 0, False),
        (NOON - 9 * MINUTE, NOON + MINUTE, 3, False),
        (NOON - 9 * MINUTE, NOON, 3, True),
        (NOON - 9 * MINUTE, NOON, 0, True),  # the session was refused to it, too
        (NOON - MINUTE / 2, NOON, 0, False),  # it came later: the site is called for it first
    ],
)
def test_what_was_never_tried_ends_only_where_its_site_was_called_meanwhile(
    received_at: datetime, expires_at: datetime, attempts: int, ends: bool
) -> None:
    message = submission(received_at=received_at)
    way = delivery(message, expires_at=expires_at, attempts=attempts)
    result = put_off(Leased(way, message, 1), REST, NOON, counted=False)
    assert result.expired is ends
    assert result.rests_until == (None if ends else REST.until)
    assert result.outcome is not None
    assert result.outcome.words.endswith(": 554 5.7.1 not you")


@pytest.mark.parametrize(
    ("reason", "at", "is_called"),
    [
        (ASKED_FOR, NOON, True),
        (ASKED_FOR, NOON - 2 * MINUTE, False),  # refused since
        ("", NOON, False),
    ],
)
def test_an_operator_s_wish_is_tried_once(reason: str, at: datetime, is_called: bool) -> None:
    message = submission()
    way = delivery(message, reason=reason, next_attempt_at=at)
    assert is_called_for(Leased(way, message, 1), REST) is is_called


def ask(rig: Rig, identifier: DeliveryId) -> None:
    """Do as `gatepost queue retry` does."""
    row = replace(rig.row(identifier), next_attempt_at=now(), reason=ASKED_FOR)
    rig.store.tables.delivery_rows[identifier] = row
    rig.store.version += 1


async def test_who_is_asked_for_is_called_for_at_once_and_all_others_go_with_it() -> None:
    async with (
        Sink({"GREETING": ["554 5.7.1 not you"] * 2}) as sink,
        Rig(sink.port, bounds=LONG_REST) as rig,
    ):
        one_mx(rig)
        (first,) = await rig.submit("b@y.example")
        await rig.until_event(EventKind.DEFERRED)
        (second,) = await rig.submit("c@y.example")
        await rig.until_state([second], DeliveryState.DUE)
        assert (sink.sessions, rig.row(second).attempts) == (1, 0)
        ask(rig, second)
        await rig.until_attempted(second)
        await rig.until_state([second], DeliveryState.DUE)
        assert sink.sessions == 2  # refused again: it rests anew
        ask(rig, second)
        await rig.until_state([second], DeliveryState.DELIVERED)
        (third,) = await rig.submit("d@y.example")  # the rest is over
        await rig.until_state([third], DeliveryState.DELIVERED)
        assert not rig.row(first).state.is_final


async def test_who_is_asked_for_does_not_hear_what_the_dns_said_before(sink: Sink) -> None:
    retry = RetrySettings(first=timedelta(minutes=5), longest=timedelta(hours=1))
    bounds = Bounds(look=0.02, site_life=600.0)
    async with Rig(sink.port, bounds=bounds, retry=retry) as rig:
        one_mx(rig)
        rig.dns.for_name("y.example").rcode = "SERVFAIL"
        (one,) = await rig.submit("b@y.example")
        await rig.until_event(EventKind.DEFERRED)
        rig.dns.for_name("y.example").rcode = None
        rig.resolver.forget()
        ask(rig, one)
        await rig.until_state([one], DeliveryState.DELIVERED)


async def test_mail_whose_time_is_over_is_not_returned_before_its_site_was_called() -> None:
    bounds = Bounds(look=0.02, dial=5.0, rest=2.0, longest_rest=2.0)
    async with (
        Sink({"GREETING": ["554 5.7.1 not you"]}) as sink,
        Rig(sink.port, bounds=bounds) as rig,
    ):
        one_mx(rig)
        await rig.submit("b@y.example")
        await rig.until_event(EventKind.DEFERRED)
        (late,) = await rig.submit("c@y.example", give_up=timedelta(seconds=0.1))
        await rig.until_state([late], DeliveryState.DELIVERED)
        assert rig.row(late).attempts == 1
