"""What a batch of jobs wants written and needs no answer to: gathered, then written at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from gatepost.model.delivery import Delivery
from gatepost.model.event import Event
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.store.notices import NoticeKind
from gatepost.store.quota_protocols import Spending
from gatepost.store.rows import (
    HELD,
    LANE_NUMBERS,
    LEASED,
    NOTICE_NUMBERS,
    NUMBERS,
    Row,
    event_row,
    microseconds,
    wishes_columns,
)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long content stays after its last delivery is final, and when it was captured."""

    content: timedelta
    captured: timedelta


@dataclass(slots=True, kw_only=True)
class Pending:
    """Rows that wait for `flush`. `touched` are the deliveries that it would change; `now` is the
    store's time, `known_tables` the days that are there.
    """

    known_tables: set[str]
    now: int
    keeping: Keeping
    touched: set[DeliveryId] = field(default_factory=set)
    _submissions: list[Row] = field(default_factory=list)
    _contents: list[Row] = field(default_factory=list)
    _deliveries: list[Row] = field(default_factory=list)
    _again: list[Row] = field(default_factory=list)
    _finished: list[Row] = field(default_factory=list)
    _notices: list[Row] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _spendings: list[Spending] = field(default_factory=list)
    _captured: set[SubmissionId] = field(default_factory=set)
    _settled: set[SubmissionId] = field(default_factory=set)

    def add_submission(self, row: Row, place: object | None) -> None:
        """Add a submission and what the keeper said of its content; None without content."""
        self._submissions.append(row)
        if place is not None:
            self._contents.append((row[0], place))

    def add_delivery(self, row: Row, delivery_id: DeliveryId) -> None:
        """Add a delivery: QUEUED_COLUMNS."""
        self._deliveries.append(row)
        self.touched.add(delivery_id)

    def again(self, row: Row, delivery_id: DeliveryId) -> None:
        """Change a delivery: id, state, next attempt or None, outcome or None, reason, warned."""
        self._again.append(row)
        self.touched.add(delivery_id)

    def finish(
        self, row: Row, delivery_id: DeliveryId, submission_id: SubmissionId, *, captured: bool
    ) -> None:
        """Close a delivery: id, final state, outcome or None, reason, warned."""
        self._finished.append(row)
        self.touched.add(delivery_id)
        self._settled.add(submission_id)
        if captured:
            self._captured.add(submission_id)

    def notice(
        self, delivery_id: DeliveryId, submission_id: SubmissionId, kind: NoticeKind
    ) -> None:
        """Owe the sender a report."""
        self._notices.append((delivery_id, NOTICE_NUMBERS[kind], submission_id))

    def let_go(self, submission_id: SubmissionId) -> None:
        """Look whether a submission's content is still needed."""
        self._settled.add(submission_id)

    def add_events(self, events: Iterable[Event]) -> None:
        """Add events in order."""
        self._events += events

    def spend(self, spendings: Iterable[Spending]) -> None:
        """Count what was sent."""
        self._spendings += spendings

    def flush(self) -> None:
        """Write all of it."""
        raise NotImplementedError

    def _events_by_day(self, position: int) -> dict[str, list[Row]]:
        """Return rows of the events by the day that each is filed under, numbered on."""
        by_day: dict[str, list[Row]] = {}
        for number, event in enumerate(self._events, position + 1):
            by_day.setdefault(_day(event), []).append(event_row(number, event))
        return by_day


def new_delivery_row(
    delivery: Delivery,
    outcome: str | None,
    lease_until: int | None,
    worker: str | None,
    *,
    account: str | None,
    ahead: int = 0,
) -> Row:
    """Return the row of a new delivery (QUEUED_COLUMNS); `lease_until` hands it straight to `worker`.
    `ahead`: microseconds that the store's clock is ahead of ours.
    """
    next_attempt_at = microseconds(delivery.next_attempt_at) + ahead
    ready_at: int | None
    if lease_until is not None:
        state, leases, ready_at = LEASED, delivery.leases + 1, lease_until
    else:
        state, leases = NUMBERS[delivery.state], delivery.leases
        ready_at = None if state == HELD else next_attempt_at
    return (
        delivery.id,
        delivery.submission_id,
        delivery.forward_path,
        delivery.destination,
        next_attempt_at,
        microseconds(delivery.expires_at) + ahead,
        state,
        delivery.attempts,
        leases,
        outcome,
        delivery.reason,
        int(delivery.warned),
        LANE_NUMBERS[delivery.lane],
        *wishes_columns(delivery.wishes),
        delivery.pool,
        delivery.account or account or "",
        ready_at,
        worker,
    )


def _day(event: Event) -> str:
    at = event.at
    return f"{at.year:04d}{at.month:02d}{at.day:02d}"


def length(duration: timedelta) -> int:
    """Return a duration in microseconds."""
    return duration // timedelta(microseconds=1)
