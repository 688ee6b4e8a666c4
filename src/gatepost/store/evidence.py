"""What became of messages whose rows are gone: rules over the events that are known still.

Events are numbered without a gap, in the database and in the journal. So it is known which of them are
missing, and from when they are. What could have happened in that time to a delivery is not known: it is
brought back and held. What could not is due again; what has ended stays ended.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind, LaterKind
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.store.envelope import Envelope
from gatepost.store.outbox import StoredEvent
from gatepost.wire.values import changed

PERHAPS_DELIVERED: Final = "restored from its segment: perhaps it was delivered"
PERHAPS_REFUSED: Final = "restored from its segment: perhaps it was never accepted, or delivered"
PERHAPS_RETURNED: Final = "restored from its segment: it failed, and perhaps nobody was told"
REASONS: Final = (PERHAPS_DELIVERED, PERHAPS_REFUSED, PERHAPS_RETURNED)

#: A message is dated before it is committed, by as much as a store may take (`group_commit`).
_SLACK: Final = timedelta(seconds=30)
#: A node may have lived longer than its files tell: the journal is written once in a second.
_LAG: Final = timedelta(seconds=5)
_DAWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENDS: Final[Mapping[EventKind | LaterKind, DeliveryState]] = {
    EventKind.DELIVERED: DeliveryState.DELIVERED,
    EventKind.DISCARDED: DeliveryState.DELIVERED,
    EventKind.CAPTURED: DeliveryState.CAPTURED,
    EventKind.REFUSED: DeliveryState.REFUSED,
    EventKind.EXPIRED: DeliveryState.EXPIRED,
    EventKind.CANCELLED: DeliveryState.CANCELLED,
}
_FAILURES: Final = {EventKind.REFUSED, EventKind.EXPIRED}
_ON_THE_WAY: Final = {
    EventKind.DEFERRED,
    EventKind.HELD,
    EventKind.RELEASED,
    EventKind.RETRIED,
}
_TOLD: Final = {EventKind.RETURNED, EventKind.RETURN_DROPPED}


@dataclass(slots=True)
class _Run:
    """Events that are known without a gap, and the times of the first and the last."""

    first: int
    begins: datetime
    last: int
    ends: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which events are missing, up to the next that is known (0: none is)."""

    begins: datetime
    ends: datetime
    next_known: int = 0


@dataclass(slots=True)
class Evidence:
    """The events that are known: of all, which are there; of wanted messages, what they say.

    `went_back`: the database is older than the journal: what stands in it is not the last word.
    """

    wanted: Container[SubmissionId]
    went_back: bool = False
    #: The first position at which there was word of a message.
    heard_of: dict[SubmissionId, int] = field(default_factory=dict)
    ended: dict[DeliveryId, StoredEvent] = field(default_factory=dict)
    told: dict[DeliveryId, int] = field(default_factory=dict)
    last_words: dict[DeliveryId, StoredEvent] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    #: Of the first and the last event that is known.
    begins: datetime = _DAWN
    ends: datetime = _DAWN
    _runs: list[_Run] = field(default_factory=list)

    def hear(self, stored: StoredEvent) -> None:
        """Take an event. From one source they come in order, but for repetitions."""
        at, position = stored.event.at, stored.position
        run = self._runs[-1] if self._runs else None
        if run is None or not run.first <= position <= run.last + 1:
            self._runs.append(_Run(position, at, position, at))
        elif position > run.last:
            run.last, run.ends = position, max(at, run.ends)
        if stored.event.submission_id in self.wanted:
            self._remember(stored)

    def _remember(self, stored: StoredEvent) -> None:
        event = stored.event
        if (submission_id := event.submission_id) is not None:
            first = self.heard_of.get(submission_id, stored.position)
            self.heard_of[submission_id] = min(first, stored.position)
        if (delivery_id := event.delivery_id) is None:
            return
        if event.kind in _ENDS:
            self.ended[delivery_id] = stored
        elif event.kind in _TOLD:
            self.told[delivery_id] = max(self.told.get(delivery_id, 0), stored.position)
        elif event.kind in _ON_THE_WAY:
            before = self.last_words.get(delivery_id)
            if before is None or before.position < stored.position:
                self.last_words[delivery_id] = stored

    def close(self, last: int | None, alive_until: datetime) -> None:
        """Find what is missing.

        Args:
            last: the last position that the database had given out; None where that is not known.
            alive_until: when the node last gave a sign of life.

        """
        runs = sorted(self._runs, key=lambda run: run.first)
        if not runs:
            self.gaps = (Gap(_DAWN, alive_until),)
            return
        self.begins = runs[0].begins
        gaps = [Gap(_DAWN, self.begins, runs[0].first)] if runs[0].first > 1 else []
        known, ends = runs[0].last, runs[0].ends
        for run in runs[1:]:
            if run.first > known + 1:
                gaps.append(Gap(ends, run.begins, run.first))
            if run.last > known:
                known, ends = run.last, run.ends
        self.ends = ends
        if last is None or last > known or self.went_back:
            gaps.append(Gap(ends, max(ends, alive_until)))
        self.gaps = tuple(gaps)

    def is_missing_since(self, at: datetime, heard: int) -> bool:
        """Tell whether something that happened then, or later, may be unknown, and would have come
        behind the position `heard`.
        """
        return any(
            gap.ends >= at and (not gap.next_known or gap.next_known > heard) for gap in self.gaps
        )

    def restored(self, envelope: Envelope) -> list[Delivery]:
        """Return which deliveries of a message come back when all its rows are gone, and how."""
        submission = envelope.submission
        accepted = envelope.is_certain or submission.id in self.heard_of
        received_at = submission.received_at
        if not accepted:
            is_new = received_at + _SLACK >= self.ends
            if not is_new and not self.is_missing_since(received_at - _SLACK, 0):
                return []  # its acceptance would be known
        found = (self.brought_back(each, envelope) for each in envelope.deliveries)
        back = [each for each in found if each is not None]
        if accepted:
            return back
        # Of what was given up before the first event that is known, nothing can be left.
        back = [each for each in back if each.expires_at > self.begins or received_at > self.begins]
        return [changed(each, state=DeliveryState.HELD, reason=PERHAPS_REFUSED) for each in back]

    def brought_back(self, delivery: Delivery, envelope: Envelope) -> Delivery | None:
        """Return a delivery of an accepted message whose row is gone; None: it has ended."""
        if delivery.state.is_final:
            return None
        end = self.ended.get(delivery.id)
        if end is None:
            return self.doubted(self._as_last_heard(delivery))
        is_told = self.told.get(delivery.id, 0) > end.position
        if end.event.kind in _FAILURES and envelope.submission.reverse_path and not is_told:
            return changed(delivery, state=DeliveryState.HELD, reason=PERHAPS_RETURNED)
        return None

    def of_a_row(self, delivery: Delivery) -> Delivery:
        """Return what a row that is there should say: it may be older than the journal."""
        end = self.ended.get(delivery.id)
        if end is not None:
            return changed(delivery, state=_ENDS[end.event.kind], reason="")
        if not self.went_back:
            return delivery
        return self.doubted(self._as_last_heard(delivery))

    def doubted(self, delivery: Delivery) -> Delivery:
        """Return a delivery, held if it may have been made in a time of which events are missing."""
        if delivery.state is DeliveryState.HELD:
            return delivery
        word = self.last_words.get(delivery.id)
        since, heard = delivery.next_attempt_at, self.heard_of.get(delivery.submission_id, 0)
        if word is not None:
            since, heard = max(since, word.event.at), word.position
        if not self.is_missing_since(since - _LAG, heard):
            return delivery
        return changed(delivery, state=DeliveryState.HELD, reason=PERHAPS_DELIVERED)

    def _as_last_heard(self, delivery: Delivery) -> Delivery:
        word = self.last_words.get(delivery.id)
        if delivery.state is DeliveryState.LEASED:
            delivery = changed(delivery, state=DeliveryState.DUE, reason="")
        return delivery if word is None else _after(delivery, word.event)


def _after(delivery: Delivery, event: Event) -> Delivery:
    facts = event.facts
    if event.kind is EventKind.HELD:
        return changed(delivery, state=DeliveryState.HELD, reason="held by an operator")
    if event.kind in {EventKind.RELEASED, EventKind.RETRIED}:
        return changed(delivery, state=DeliveryState.DUE, reason="", next_attempt_at=event.at)
    attempts, again = facts.get("attempt"), _time(facts.get("next_attempt_at"))
    return changed(
        delivery,
        state=DeliveryState.DUE,
        reason=str(facts.get("text", "")),
        attempts=max(delivery.attempts, attempts if isinstance(attempts, int) else 0),
        next_attempt_at=again or delivery.next_attempt_at,
    )


def _time(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
