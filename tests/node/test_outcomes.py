"""What deliveries came to is counted, in all and by source address."""

from dataclasses import replace

import pytest

from gatepost.model.delivery import DeliveryState, Leased, Outcome, OutcomeKind
from gatepost.net.counters import Counters, Metric
from gatepost.node.outcomes import OutcomeCount
from tests.store.makers import ACCEPTED, LATER, REFUSED, delivery, settled, submission

SOURCES = ("192.0.2.1", "192.0.2.2")
DUE, EXPIRED = DeliveryState.DUE, DeliveryState.EXPIRED
CAPTURED = Outcome(OutcomeKind.CAPTURED)


@pytest.mark.parametrize(
    ("outcome", "state", "source", "counted"),
    [
        (ACCEPTED, DeliveryState.DELIVERED, "", {Metric.DELIVERED: (1, 0)}),
        (ACCEPTED, DeliveryState.DELIVERED, "192.0.2.2", {Metric.DELIVERED: (1, 1)}),
        (ACCEPTED, DeliveryState.DELIVERED, "192.0.2.99", {Metric.DELIVERED: (1, 0)}),
        (REFUSED, DeliveryState.REFUSED, "192.0.2.2", {Metric.REFUSED: (1, 1)}),
        (LATER, DUE, "192.0.2.2", {Metric.DEFERRED: (1, 1)}),
        (LATER, EXPIRED, "192.0.2.2", {}),
        (CAPTURED, DeliveryState.CAPTURED, "", {}),
        (None, EXPIRED, "", {}),
    ],
)
def test_each_outcome_is_counted_once(outcome, state, source, counted) -> None:
    table = Counters.create(1)
    count = OutcomeCount(table.worker(0), SOURCES)
    message = submission()
    way = delivery(message)
    said = None if outcome is None else replace(outcome, source=source)
    one = settled(Leased(way, message, 1), state, said)
    count.heard([one], {way.id})
    count.heard([one], set())  # a lost lease changes nothing
    found = {
        metric: (table.total(metric), table.of_source(1, metric))
        for metric in (Metric.DELIVERED, Metric.DEFERRED, Metric.REFUSED)
    }
    assert {metric: both for metric, both in found.items() if both != (0, 0)} == counted
    assert table.of_source(0, Metric.DELIVERED) == 0
