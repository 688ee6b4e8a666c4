"""Who is told, what, and once."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.model.delivery import Delivery, DeliveryState, Outcome, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.ids import DeliveryId, SubmissionId, identifier
from gatepost.model.submission import Origin, Submission
from gatepost.returns.notify import (
    Notifier,
    NotOwedError,
    ReturnMessage,
    StrikeOut,
    grouped,
    is_wanted,
    return_id,
)
from gatepost.store.notices import DueNotice, NoticeKind
from gatepost.store.protocols import StoreUnavailableError
from tests.memory_store import MemoryStore

RETURN, WARNING = NoticeKind.RETURN, NoticeKind.WARNING
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUBMISSION = Submission(SubmissionId("s"), "a@x.example", 10, NOON)
OUTCOME = Outcome(OutcomeKind.REFUSED, 550, "5.1.1", "no such user", "mx.y.example")


def notice(
    number: int, state: DeliveryState = DeliveryState.REFUSED, *, kind: NoticeKind = RETURN
) -> DueNotice:
    delivery = Delivery(
        id=DeliveryId(identifier(1_700_000_000_000, number, number)),
        submission_id=SUBMISSION.id,
        forward_path=f"r{number}@y.example",
        destination="y.example",
        next_attempt_at=NOON,
        expires_at=NOON + timedelta(days=5),
        state=state,
        last_outcome=OUTCOME,
    )
    return DueNotice(delivery, SUBMISSION, kind)


@pytest.mark.parametrize(
    ("state", "kind", "reverse_path", "wanted"),
    [
        (DeliveryState.REFUSED, RETURN, "a@x.example", True),
        (DeliveryState.REFUSED, RETURN, "", False),
        (DeliveryState.DUE, WARNING, "a@x.example", True),
        (DeliveryState.DELIVERED, WARNING, "a@x.example", False),
    ],
)
def test_wanted(state: DeliveryState, kind: NoticeKind, reverse_path: str, wanted: bool) -> None:
    submission = replace(SUBMISSION, reverse_path=reverse_path)
    assert is_wanted(replace(notice(1, state, kind=kind), submission=submission)) is wanted


def test_the_id_of_a_return_derives_from_its_deliveries() -> None:
    one, two = notice(1), notice(2)
    found = return_id([one, two])
    assert found == return_id([two, one])
    assert found != return_id([one])
    assert found != return_id([replace(one, kind=WARNING), replace(two, kind=WARNING)])
    assert found[:12] == one.delivery.id[:12]
    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", found)


def test_what_failed_together_shares_a_report() -> None:
    late = notice(3, DeliveryState.DUE, kind=WARNING)
    assert [len(g) for g in grouped([notice(1), late, notice(2)])] == [2, 1]


class Desk:
    """Accepts returns, or not."""

    def __init__(self, answer: bool | Exception = True, poison: bytes = b"\0") -> None:
        self.answer = answer
        self.poison = poison
        self.taken: list[ReturnMessage] = []
        self.store = MemoryStore()

    async def accept(self, message: ReturnMessage, strike_out: StrikeOut) -> bool:
        if self.poison in message.content:
            raise ValueError("a fault of ours")
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer and not await self.store.write(strike_out):
            raise NotOwedError
        self.taken.append(message)
        return self.answer


def store_with(*notices: DueNotice) -> MemoryStore:
    store = MemoryStore()
    for n in notices:
        store.tables.submission_rows[n.submission.id] = n.submission
        store.tables.delivery_rows[n.delivery.id] = n.delivery
        store.tables.notices[n.delivery.id, n.kind] = None
    store.tables.contents[SUBMISSION.id] = b"Subject: hi\r\n\r\nbody\r\n"
    return store


def notifier(store: MemoryStore, desk: Desk) -> Notifier:
    desk.store = store
    return Notifier(store, "relay.test", desk.accept, now=lambda: NOON)


@pytest.mark.rfc("3464#2")
async def test_one_report_for_two_recipients() -> None:
    store, desk = store_with(notice(1), notice(2)), Desk()
    await notifier(store, desk).send_due()
    (message,) = desk.taken
    assert message.forward_path == "a@x.example"
    assert message.content.count(b"Final-Recipient: rfc822; r") == 2
    assert b"Diagnostic-Code: smtp; 550 5.1.1 no such user" in message.content
    assert b"Subject: hi" in message.content
    assert store.tables.notices == {}
    assert store.kinds() == [EventKind.RETURNED] * 2


async def test_a_delay_notice_says_until_when() -> None:
    store, desk = store_with(notice(1, DeliveryState.DUE, kind=WARNING)), Desk()
    await notifier(store, desk).send_due()
    assert b"Action: delayed" in desk.taken[0].content
    assert b"Will-Retry-Until: Tue, 06 Jan 2026 12:00:00" in desk.taken[0].content


async def test_a_return_that_can_never_be_accepted_is_dropped_with_an_event() -> None:
    store = store_with(notice(1))
    await notifier(store, Desk(answer=False)).send_due()
    assert store.tables.notices == {}
    assert store.kinds() == [EventKind.RETURN_DROPPED]


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def patient(store: MemoryStore, desk: Desk, clock: Clock) -> Notifier:
    desk.store = store
    return Notifier(store, "relay.test", desk.accept, now=lambda: NOON, time=clock)


async def after(mine: Notifier, clock: Clock, seconds: float) -> None:
    """Let time pass, with a look every half minute."""
    for _ in range(int(seconds / 30)):
        clock.at += 30
        await mine.send_due()


def keep_faults() -> list[str]:
    faults: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["message"]))
    return faults


@pytest.mark.parametrize(
    ("poison", "told"),
    [(b"Subject: hi", EventKind.RETURNED), (b"Reporting-MTA", EventKind.RETURN_DROPPED)],
    ids=["the original", "the report"],
)
async def test_a_fault_of_ours_with_one_report_holds_it_up_for_hours_and_no_other(
    poison: bytes, told: EventKind
) -> None:
    faults, clock = keep_faults(), Clock()
    other = replace(SUBMISSION, id=SubmissionId("other"))
    later = notice(2)
    moved = replace(later.delivery, submission_id=other.id)
    store = store_with(notice(1), replace(later, delivery=moved, submission=other))
    desk = Desk(poison=poison)
    mine = patient(store, desk, clock)
    await mine.send_due()
    assert (notice(1).delivery.id, RETURN) in store.tables.notices
    if told is EventKind.RETURNED:
        assert len(desk.taken) == 1  # the other's original has no such words
    await after(mine, clock, 7200)
    if told is EventKind.RETURN_DROPPED:
        assert store.kinds() == []
        await after(mine, clock, 5 * 3600)
    assert store.tables.notices == {}
    assert store.kinds() == [told, told]
    assert len(faults) < 80


async def test_a_passing_fault_of_ours_takes_nothing_from_a_report() -> None:
    keep_faults()
    store, desk, clock = store_with(notice(1)), Desk(RuntimeError("no thread")), Clock()
    mine = patient(store, desk, clock)
    for _ in range(3):
        await mine.send_due()  # it is asked for often, and not tried each time
    await after(mine, clock, 600)
    desk.answer = True
    await after(mine, clock, 900)
    (message,) = desk.taken
    assert b"Subject: hi" in message.content
    assert store.kinds() == [EventKind.RETURNED]


async def test_a_report_waits_for_the_message_and_then_goes_without_it() -> None:
    store, desk, clock = store_with(notice(1)), Desk(), Clock()
    store.tables.contents_away = True
    mine = patient(store, desk, clock)
    await after(mine, clock, 1800)
    assert desk.taken == []
    await after(mine, clock, 3600)
    (message,) = desk.taken
    assert b"Subject: hi" not in message.content
    assert store.kinds() == [EventKind.RETURNED]


async def test_a_fault_of_ours_in_the_striking_out_holds_up_no_other() -> None:
    keep_faults()
    nobody = replace(SUBMISSION, id=SubmissionId("nobody"), reverse_path="")
    first, second = notice(1), notice(2)
    unwanted = replace(
        first, submission=nobody, delivery=replace(first.delivery, submission_id=nobody.id)
    )
    store, desk = store_with(unwanted, second), Desk()
    struck = store.tables.clear_notice

    def stumbles(delivery_id: DeliveryId, kind: NoticeKind) -> bool:
        if delivery_id == first.delivery.id:
            raise ValueError("a fault of ours")
        return struck(delivery_id, kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.tables, "clear_notice", stumbles)
        await notifier(store, desk).send_due()
    assert len(desk.taken) == 1


async def test_a_return_waits_for_the_store() -> None:
    store = store_with(notice(1))
    with pytest.raises(StoreUnavailableError):
        await notifier(store, Desk(StoreUnavailableError("away"))).send_due()
    assert len(store.tables.notices) == 1


async def test_expired_is_permanent_to_a_program() -> None:
    late = notice(1, DeliveryState.EXPIRED)
    outcome = Outcome(OutcomeKind.DEFERRED, 0, "4.4.1", "no connection: no answer", "mx.y.example")
    late = replace(late, delivery=replace(late.delivery, last_outcome=outcome))
    desk = Desk()
    await notifier(store_with(late), desk).send_due()
    assert b"Status: 5.4.1" in desk.taken[0].content
    assert b"Remote-MTA" not in desk.taken[0].content


@pytest.mark.rfc("3463#2")
@pytest.mark.parametrize(
    ("state", "kind", "code", "said", "status"),
    [
        (DeliveryState.REFUSED, RETURN, 550, "4.2.1", "5.2.1"),
        (DeliveryState.REFUSED, RETURN, 550, "5.2.1", "5.2.1"),
        (DeliveryState.EXPIRED, RETURN, 450, "4.2.2", "5.2.2"),
        (DeliveryState.DUE, WARNING, 450, "5.7.1", "4.7.1"),
        (DeliveryState.DELIVERED, NoticeKind.SUCCESS, 250, "2.0.0", "2.0.0"),
    ],
)
async def test_a_status_is_of_the_class_that_its_action_means(
    state: DeliveryState, kind: NoticeKind, code: int, said: str, status: str
) -> None:
    told = notice(1, state, kind=kind)
    outcome = replace(OUTCOME, code=code, status=said)
    desk = Desk()
    store = store_with(replace(told, delivery=replace(told.delivery, last_outcome=outcome)))
    await notifier(store, desk).send_due()
    assert f"\r\nStatus: {status}\r\n".encode() in desk.taken[0].content
    assert f"smtp; {code} {said} ".encode() in desk.taken[0].content


async def test_what_a_neighbour_has_told_of_is_not_told_again() -> None:
    store, desk = store_with(notice(1)), Desk()
    (due,) = await store.read(lambda reading: reading.notices_due(limit=9))
    await notifier(store, desk).send_due()
    await notifier(store, desk)._send([due])
    assert len(desk.taken) == 1
    assert store.kinds() == [EventKind.RETURNED]


# -- how many go to strangers


def from_a_stranger(number: int, **more: Any) -> DueNotice:
    told = notice(number, **more)
    letter = replace(told.submission, id=SubmissionId(f"s{number}"), origin=Origin.MX, account=None)
    return replace(
        told, submission=letter, delivery=replace(told.delivery, submission_id=letter.id)
    )


async def test_so_many_reports_an_hour_go_to_strangers_and_the_rest_is_said() -> None:
    desk, now = Desk(), [NOON]
    store = store_with(*(from_a_stranger(n) for n in range(1, 6)), notice(6))
    desk.store = store
    mine = Notifier(store, "relay.test", desk.accept, now=lambda: now[0], strangers=2)
    await mine.send_due()
    told = Counter(event.kind for event in store.tables.event_rows)
    assert told == {EventKind.RETURNED: 3, EventKind.RETURN_DROPPED: 3}  # ours is not counted
    assert len(desk.taken) == 3
    assert store.tables.notices == {}
    dropped = [e for e in store.tables.event_rows if e.kind is EventKind.RETURN_DROPPED]
    assert {e.facts["reason"] for e in dropped} == {"2 reports went to strangers in the last hour"}
    now[0] += timedelta(hours=1)
    late = from_a_stranger(7)
    store.tables.submission_rows[late.submission.id] = late.submission
    store.tables.delivery_rows[late.delivery.id] = late.delivery
    store.tables.notices[late.delivery.id, late.kind] = None
    await mine.send_due()
    assert len(desk.taken) == 4


async def test_none_goes_to_strangers_where_the_settings_say_so() -> None:
    desk, store = Desk(), store_with(from_a_stranger(1))
    desk.store = store
    await Notifier(store, "relay.test", desk.accept, now=lambda: NOON, strangers=0).send_due()
    assert (desk.taken, store.kinds()) == ([], [EventKind.RETURN_DROPPED])


async def test_content_that_cannot_be_read_holds_up_no_other_return() -> None:
    other = replace(SUBMISSION, id=SubmissionId("other"))
    later = notice(2)
    moved = replace(
        later, delivery=replace(later.delivery, submission_id=other.id), submission=other
    )
    store, desk = store_with(notice(1), moved), Desk()
    store.tables.unreadable.add(SUBMISSION.id)
    await notifier(store, desk).send_due()
    assert [b"Subject: hi" in message.content for message in desk.taken] == [False, False]
    assert store.tables.notices == {}


async def test_returns_that_wait_keep_back_none_behind_them() -> None:
    many = []
    for number in range(1, 151):
        told = notice(number)
        about = replace(SUBMISSION, id=SubmissionId(f"s{number}"))
        moved = replace(told.delivery, submission_id=about.id)
        many.append(replace(told, delivery=moved, submission=about))
    store, desk, clock = store_with(*many), Desk(), Clock()
    store.tables.contents_away = True
    store.tables.contents.clear()
    mine = patient(store, desk, clock)
    assert await mine.send_due()
    assert desk.taken == []
    store.tables.contents_away = False
    assert not await mine.send_due()
    assert len(desk.taken) == 50
    clock.at += 20.0
    assert await mine.send_due()
    assert not await mine.send_due()
    assert len(desk.taken) == 150
