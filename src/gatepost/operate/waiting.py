"""Why mail waits that nobody leases: its pool's source addresses are paused, absent, or at no node
that runs. Found out when somebody asks, so that it is true then.
"""

from collections.abc import Callable, Iterable, Sequence

from gatepost.egress.served import served_anywhere, why_nowhere
from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.queue.presence import heard
from gatepost.store.protocols import Reading
from gatepost.store.queue_view import QueueRow
from gatepost.wire.values import changed


def with_reasons(reading: Reading, rows: Sequence[QueueRow]) -> list[QueueRow]:
    """Return rows whose deliveries say it where they wait for a source address."""
    explain = explainer(reading, (row.delivery for row in rows))
    if explain is None:
        return list(rows)
    return [QueueRow(explain(row.delivery), row.submission) for row in rows]


def explainer(
    reading: Reading, deliveries: Iterable[Delivery]
) -> Callable[[Delivery], Delivery] | None:
    """Return what puts the reason into a delivery; None where none of these waits so."""
    pools = {d.pool for d in deliveries if d.pool and d.state is DeliveryState.DUE}
    if not pools:
        return None
    alive, pauses = heard(reading.presences(), reading.time()), reading.pauses()
    if not alive:  # then nothing leaves at all, and that is another matter
        return None
    there = served_anywhere(alive, pauses)
    why = {pool: why_nowhere(pool, alive, pauses) for pool in pools - there}
    if not why:
        return None

    def explain(delivery: Delivery) -> Delivery:
        if delivery.state is not DeliveryState.DUE or delivery.pool not in why:
            return delivery
        return changed(delivery, reason=why[delivery.pool])

    return explain
