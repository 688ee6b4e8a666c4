"""Room 4: from which pool of source addresses a message leaves: a route's, else that of the first
`[[pool_rules]]` that fits, else its account's, else `default` (ADR 26).
"""

from collections.abc import Callable, Sequence

from gatepost.model.delivery import Delivery
from gatepost.model.grant import canonical
from gatepost.model.pool_rule import PoolRule, Traits, pool_of
from gatepost.reception.accept import Accepted
from gatepost.wire.values import changed

#: Puts deliveries into the pools of their routes, else into the one that is asked for.
Place = Callable[[tuple[Delivery, ...], str | None], tuple[Delivery, ...]]


class Pooling:
    """Puts messages into pools."""

    def __init__(self, rules: Sequence[PoolRule], place: Place) -> None:
        self._rules = tuple(rules)
        self._place = place

    def pooled(self, accepted: Accepted, asked: str | None) -> Accepted:
        """Return a message whose deliveries are in their pools; its event tells of them. `asked` is
        the pool of its account.
        """
        named = pool_of(self._rules, _traits(accepted)) if self._rules else None
        deliveries = self._place(accepted.deliveries, named or asked)
        if deliveries is accepted.deliveries:
            return accepted
        pools = sorted({each.pool for each in deliveries} - {""})
        event = accepted.event
        if pools:
            event = changed(event, facts={**event.facts, "pool": " ".join(pools)})
        return changed(accepted, deliveries=deliveries, event=event)


def _traits(accepted: Accepted) -> Traits:
    """Only what is an account's has authors and a stream that are its own."""
    submission = accepted.submission
    if submission.account is None:
        return Traits()
    author = accepted.authors[0] if accepted.authors else ""
    return Traits(
        submission.account,
        submission.credential or "",
        (canonical(author) or author).rpartition("@")[2].lower(),
        accepted.stream,
    )
