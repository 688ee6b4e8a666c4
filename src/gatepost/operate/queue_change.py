"""Hold, release, retry or cancel what waits, however much that is, while mail goes on.

A verb takes the deliveries that match when it begins, in order of their ids, a few hundred in one
transaction with their events. What joins the queue meanwhile is left alone; so it ends. What is done
stays done: a verb that was broken off is given again, and does the rest.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from gatepost.events.record import about_delivery
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import DeliveryId
from gatepost.model.wrong import wrong
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction
from gatepost.store.queue_view import Matching, QueueFilter, QueueRow, Stretch

#: Deliveries changed in one transaction: mail that comes in waits no longer than for these.
PORTION: Final = 500


class Verb(StrEnum):
    """What an operator does to deliveries."""

    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class _Change:
    """From which states a verb leads where, and the event that tells."""

    states: tuple[DeliveryState, ...]
    to: DeliveryState
    event: EventKind


_CHANGES: Final[Mapping[Verb, _Change]] = {
    Verb.HOLD: _Change(
        (DeliveryState.DUE, DeliveryState.LEASED), DeliveryState.HELD, EventKind.HELD
    ),
    Verb.RELEASE: _Change((DeliveryState.HELD,), DeliveryState.DUE, EventKind.RELEASED),
    Verb.RETRY: _Change((DeliveryState.DUE,), DeliveryState.DUE, EventKind.RETRIED),
    Verb.CANCEL: _Change(
        (DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.HELD),
        DeliveryState.CANCELLED,
        EventKind.CANCELLED,
    ),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done to what. `by` names the operator in the events; states in `which` are
    replaced by those that the verb leads from.
    """

    verb: Verb
    which: QueueFilter
    by: str

    @property
    def change(self) -> _Change:
        """Return what the verb means."""
        return _CHANGES[self.verb]

    @property
    def wanted(self) -> QueueFilter:
        """Return which deliveries it may change."""
        return replace(self.which, states=self.change.states)


@dataclass(frozen=True, slots=True)
class Span:
    """What is still to be looked at: behind `after`, up to `until`. `is_short`: what matches there is
    one portion, and sooner found by what it is than by its place in the queue.
    """

    until: DeliveryId
    after: DeliveryId | None = None
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """One portion: how many it looked at, how many it changed, and what is left."""

    seen: int
    changed: int
    left: Span | None


class BrokenOffError(StoreUnavailableError):
    """The store went away; `changed` deliveries were changed before, at least."""

    def __init__(self, changed: int, trouble: StoreUnavailableError) -> None:
        super().__init__(str(trouble))
        self.changed = changed


def span_of(found: Matching) -> Span | None:
    """Return what a verb has to look at to change what was found; None where that is nothing."""
    return None if found.last is None else Span(found.last, is_short=found.count <= PORTION)


async def matching(store: Store, order: Order) -> Matching:
    """Count what a verb would change now.

    Raises:
        WrongValueError: the beginning of an id stands for several messages: all that was accepted in the
            same minute has the same eight digits.
        StoreUnavailableError: the store cannot be read.

    """
    found = await store.read(lambda reading: reading.matching(order.wanted))
    if not found.is_of_one:
        raise wrong(
            f'the ids of several messages begin with "{order.which.id}"', "write more digits"
        )
    return found


async def change_portion(store: Store, order: Order, span: Span, now: datetime) -> Done:
    """Change the next deliveries of a span.

    Raises:
        StoreUnavailableError: the portion can be given again.

    """
    if span.is_short:
        rows = await store.read(lambda reading: reading.deliveries(order.wanted, limit=PORTION))
        found = Stretch([row for row in rows if row.delivery.id <= span.until], None)
    else:
        found = await store.read(
            lambda reading: reading.stretch(
                order.wanted, after=span.after, until=span.until, limit=PORTION
            )
        )
    changed = await store.write(_Portion(found.rows, order, now)) if found.rows else 0
    left = None if found.last in {None, span.until} else Span(span.until, found.last)
    return Done(len(found.rows), changed, left)


async def change_all(
    store: Store, order: Order, found: Matching, now: datetime
) -> AsyncIterator[Done]:
    """Change what was found, a portion at a time; each is told once it is durable.

    Raises:
        BrokenOffError: the store went away; what came before stays changed.

    """
    left = span_of(found)
    changed = 0
    while left is not None:
        try:
            done = await change_portion(store, order, left, now)
        except StoreUnavailableError as trouble:
            raise BrokenOffError(changed, trouble) from trouble
        changed += done.changed
        left = done.left
        yield done


async def change(store: Store, order: Order, now: datetime) -> int:
    """Change all that matches; return how many.

    Raises:
        StoreUnavailableError: what came before stays changed.

    """
    found = await matching(store, order)
    return sum([done.changed async for done in change_all(store, order, found, now)])


@dataclass(frozen=True, slots=True)
class _Portion:
    """The job that changes deliveries which were just listed."""

    rows: list[QueueRow]
    order: Order
    now: datetime

    def __call__(self, transaction: Transaction) -> int:
        change = self.order.change
        ids = [row.delivery.id for row in self.rows]
        changed = set(transaction.change_queue(ids, change.states, change.to, self.now))
        transaction.add_events(
            about_delivery(change.event, row.delivery, row.submission, self.now, by=self.order.by)
            for row in self.rows
            if row.delivery.id in changed
        )
        return len(changed)
