"""How the queue stands, for those who watch: how much waits, and how long something has waited too long."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import time_of
from gatepost.model.lane import LANES, Lane
from gatepost.store.protocols import Reading
from gatepost.store.queue_view import QueueFilter

_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class QueueState:
    """One look. `overdue`: by lane, how long the delivery that should have been tried first has waited
    beyond its time; `oldest`: how long ago the message of the oldest DUE delivery was accepted; zero where
    nothing waits.
    """

    depth: Mapping[DeliveryState, int]
    overdue: Mapping[Lane, timedelta]
    oldest: timedelta


def queue_state(reading: Reading, at: datetime) -> QueueState:
    """Look. The queue is counted by an index; nothing else takes longer when it is long."""
    pools = ("", *reading.waiting_pools())
    overdue = {lane: _beyond(reading.next_due_at((lane,), pools), at) for lane in LANES}
    waiting = QueueFilter(states=(DeliveryState.DUE,))
    found = reading.deliveries(waiting, limit=1)
    oldest = _beyond(_accepted_at(found[0].delivery.id), at) if found else _NOTHING
    return QueueState(reading.queue_depth(), overdue, oldest)


def _accepted_at(identifier: str) -> datetime:
    return datetime.fromtimestamp(time_of(identifier) / 1000, UTC)


def _beyond(since: datetime | None, at: datetime) -> timedelta:
    return _NOTHING if since is None else max(_NOTHING, at - since)
