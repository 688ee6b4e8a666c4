"""What deliveries came to, counted for those who watch: in all, and by source address."""

from collections.abc import Sequence
from typing import Final

from gatepost.model.delivery import DeliveryState, OutcomeKind
from gatepost.model.ids import DeliveryId
from gatepost.model.settings import Settings
from gatepost.net.counters import MOST_SOURCES, Metric, WorkerCounters
from gatepost.store.protocols import Settlement

_COUNTED: Final = {
    OutcomeKind.DELIVERED: Metric.DELIVERED,
    OutcomeKind.DEFERRED: Metric.DEFERRED,
    OutcomeKind.REFUSED: Metric.REFUSED,
}


def source_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the source addresses that are counted: each has its place by these settings."""
    return tuple(a for each in settings.egress for a in each.source.addresses)[:MOST_SOURCES]


class OutcomeCount:
    """Counts for one worker; `heard` listens to its settler."""

    def __init__(self, counters: WorkerCounters, sources: Sequence[str]) -> None:
        self._counters = counters
        self._places = {address: place for place, address in enumerate(sources)}

    def heard(self, settlements: Sequence[Settlement], ours: set[DeliveryId]) -> None:
        """Count what was written."""
        for one in settlements:
            outcome = one.outcome
            # An expiry tells of the last attempt once more.
            if outcome is None or one.held.id not in ours or one.state is DeliveryState.EXPIRED:
                continue
            metric = _COUNTED.get(outcome.kind)
            if metric is None:
                continue
            self._counters.add(metric)
            if outcome.source and (place := self._places.get(outcome.source)) is not None:
                self._counters.add_of_source(place, metric)
