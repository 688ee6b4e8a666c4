"""What comes back of a message whose rows are gone: the rules, case by case."""

from datetime import timedelta

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.store.envelope import Envelope
from gatepost.store.evidence import (
    PERHAPS_DELIVERED,
    PERHAPS_REFUSED,
    PERHAPS_RETURNED,
    Evidence,
)
from gatepost.store.outbox import StoredEvent
from tests.store.makers import NOON, delivery, submission

MINUTE = timedelta(minutes=1)
DUE, HELD = DeliveryState.DUE, DeliveryState.HELD
MESSAGE = submission(received_at=NOON)
WAY = delivery(MESSAGE)
ENVELOPE = Envelope(MESSAGE, (WAY,))
K = EventKind
AGAIN = (NOON + 60 * MINUTE).isoformat()


def heard(*kinds: tuple[int, EventKind, int], other: tuple[int, ...] = ()) -> list[StoredEvent]:
    """Return events: position, kind, minutes after noon; `other` are of other messages, each in the
    minute of its position.
    """
    found = [
        StoredEvent(n, Event(kind, NOON + at * MINUTE, MESSAGE.id, WAY.id, facts=facts(kind)))
        for n, kind, at in kinds
    ]
    found += [StoredEvent(n, Event(K.ACCEPTED, NOON + n * MINUTE, None)) for n in other]
    return sorted(found, key=lambda stored: stored.position)


def facts(kind: EventKind) -> dict[str, str | int]:
    return {"attempt": 2, "next_attempt_at": AGAIN, "text": "busy"} if kind is K.DEFERRED else {}


def evidence(
    events: list[StoredEvent], last: int | None, alive: int, *, went_back: bool = False
) -> Evidence:
    made = Evidence({MESSAGE.id}, went_back)
    for stored in events:
        made.hear(stored)
    made.close(last, NOON + alive * MINUTE)
    return made


OTHERS = tuple(range(2, 31))
ACCEPTED = (1, K.ACCEPTED, 0)


@pytest.mark.parametrize(
    ("events", "last", "alive", "expected"),
    [
        # All events are known.
        (heard(ACCEPTED, other=OTHERS), 30, 30, (DUE, "", 0)),
        (heard(ACCEPTED, (2, K.DELIVERED, 1), other=OTHERS[1:]), 30, 30, None),
        (heard(ACCEPTED, (2, K.CANCELLED, 1), other=OTHERS[1:]), 30, 30, None),
        (heard(ACCEPTED, (2, K.DEFERRED, 1), other=OTHERS[1:]), 30, 30, (DUE, "busy", 2)),
        (heard(ACCEPTED, (2, K.HELD, 1), other=OTHERS[1:]), 30, 30, (HELD, "held by an operator", 0)),
        (heard(ACCEPTED, (2, K.HELD, 1), (3, K.RELEASED, 2), other=OTHERS[2:]), 30, 30, (DUE, "", 0)),
        # Nobody accepted it, or that would be known.
        (heard(other=(1, *OTHERS)), 30, 30, None),
        # It is the last that came: its acceptance may be missing.
        (heard(other=(1,)), 1, 1, None),
        (heard(other=()), 0, 0, (HELD, PERHAPS_REFUSED, 0)),
        # The last events are missing.
        (heard(ACCEPTED, other=OTHERS), 31, 30, (HELD, PERHAPS_DELIVERED, 0)),
        (heard(ACCEPTED, other=OTHERS), None, 30, (HELD, PERHAPS_DELIVERED, 0)),
        (heard(ACCEPTED, (2, K.DEFERRED, 1), other=OTHERS[1:]), 31, 31, (DUE, "busy", 2)),
        (heard(ACCEPTED, (2, K.DEFERRED, 1), other=OTHERS[1:]), 31, 61, (HELD, PERHAPS_DELIVERED, 2)),
        (heard(ACCEPTED, (2, K.DELIVERED, 1), other=OTHERS[1:]), 31, 30, None),
        # One in between is missing: before the last word of it that does no harm.
        (heard(ACCEPTED, other=(2, 3, 5, 6)), 6, 6, (HELD, PERHAPS_DELIVERED, 0)),
        (heard((7, K.ACCEPTED, 0), other=(1, 2, 5, 6, 8)), 8, 8, (DUE, "", 0)),
        # It failed; its sender was told, or perhaps was not.
        (heard(ACCEPTED, (2, K.REFUSED, 1), other=OTHERS[1:]), 30, 30, (HELD, PERHAPS_RETURNED, 0)),
        (heard(ACCEPTED, (2, K.EXPIRED, 1), (3, K.RETURNED, 1), other=OTHERS[2:]), 30, 30, None),
        (heard(ACCEPTED, (2, K.RETURNED, 1), (3, K.REFUSED, 2)), 3, 3, (HELD, PERHAPS_RETURNED, 0)),
        (heard(ACCEPTED, (2, K.REFUSED, 1), (3, K.RETURN_DROPPED, 1)), 3, 3, None),
    ],
)  # fmt: skip
def test_a_message_whose_rows_are_gone(events, last, alive, expected):
    back = evidence(events, last, alive).restored(ENVELOPE)
    found = [(each.state, each.reason, each.attempts) for each in back]
    assert found == ([] if expected is None else [expected])


def test_what_was_certain_when_it_was_written_needs_no_event():
    certain = Envelope(MESSAGE, (WAY,), is_certain=True)
    (back,) = evidence(heard(other=(1, *OTHERS)), 30, 30).restored(certain)
    assert back == WAY


def test_of_what_was_given_up_before_the_first_event_that_is_known_nothing_is_left():
    old = submission(received_at=NOON - timedelta(days=40))
    way = delivery(old, expires_at=old.received_at + timedelta(days=5))
    found = evidence([StoredEvent(9, Event(K.ACCEPTED, NOON))], 9, 0)
    assert found.restored(Envelope(old, (way,))) == []
    long = delivery(old, expires_at=NOON + timedelta(days=5))
    assert [each.reason for each in found.restored(Envelope(old, (long,)))] == [PERHAPS_REFUSED]


def test_no_return_is_owed_for_a_return():
    message = submission(reverse_path="")
    way = delivery(message)
    found = Evidence({message.id})
    found.hear(StoredEvent(1, Event(K.REFUSED, NOON, message.id, way.id)))
    found.close(1, NOON)
    assert found.restored(Envelope(message, (way,))) == []


@pytest.mark.parametrize(
    ("events", "went_back", "expected"),
    [
        (heard(ACCEPTED), False, (DUE, "")),
        (heard(ACCEPTED), True, (HELD, PERHAPS_DELIVERED)),
        (heard(ACCEPTED, (2, K.DELIVERED, 1)), False, (DeliveryState.DELIVERED, "")),
        (heard(ACCEPTED, (2, K.DEFERRED, 1)), False, (DUE, "")),
        (heard(ACCEPTED, (2, K.DEFERRED, 1)), True, (DUE, "busy")),
    ],
)
def test_a_row_that_is_there_is_believed_unless_the_database_went_back(events, went_back, expected):
    found = evidence(events, 2, 2, went_back=went_back).of_a_row(WAY)
    assert (found.state, found.reason) == expected


def test_lines_that_a_crash_repeated_are_no_gap():
    events = heard(ACCEPTED, other=(2, 3, 4))
    assert evidence(events + events[1:] + heard(other=(5,)), 5, 5).gaps == ()
