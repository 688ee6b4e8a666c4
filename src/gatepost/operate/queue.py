"""Look at what waits, and hold, release, retry or cancel it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from gatepost.events.record import about_delivery
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.operate.trace import Traced, follow
from gatepost.operate.waiting import with_reasons
from gatepost.store.protocols import QueueFilter, QueueRow, Reading, Store, Transaction

#: Deliveries changed in one transaction: a long queue must not keep the server from its own.
_BATCH: Final = 500
#: Recipients of one message that `show` lists.
_MOST_SHOWN: Final = 10_000
#: What a header section can be; a message without a body would else be shown whole.
_LONGEST_HEADER: Final = 256 * 1024


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
class Shown:
    """One message as `queue show` presents it; `header` is None when its content is gone."""

    traced: Traced
    header: bytes | None


class AmbiguousError(Exception):
    """The beginning of an id names several messages."""


async def listing(
    store: Store, which: QueueFilter, *, limit: int, after: DeliveryId | None = None
) -> list[QueueRow]:
    """Return matching deliveries, oldest first; `after` pages on.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """

    def ask(reading: Reading) -> list[QueueRow]:
        return with_reasons(reading, reading.deliveries(which, limit=limit, after=after))

    return await store.read(ask)


async def find(store: Store, name: str) -> SubmissionId | None:
    """Return the message that `name` means: its id or a delivery's, in full or the beginning.

    Raises:
        AmbiguousError: it means several.
        StoreUnavailableError: the store cannot be read.

    """

    def query(reading: Reading) -> set[SubmissionId]:
        rows = reading.deliveries(QueueFilter(id=name), limit=_MOST_SHOWN)
        return {row.submission.id for row in rows}

    found = await store.read(query)
    if len(found) > 1:
        raise AmbiguousError(name)
    return next(iter(found), None)


async def show(store: Store, name: str) -> Shown | None:
    """Return one message with its deliveries, events and header section; None if there is none.

    Raises:
        AmbiguousError: `name` means several messages.
        ContentDamagedError: the stored content is not what was stored.
        StoreUnavailableError: the store cannot be read.

    """
    submission_id = await find(store, name)
    if submission_id is None:
        return None
    octets = await content(store, submission_id)
    header = None if octets is None else header_section(octets)
    return Shown(await follow(store, submission_id), header)


async def content(store: Store, submission_id: SubmissionId) -> bytes | None:
    """Return a message's stored octets; None when they are gone.

    Raises:
        ContentDamagedError: they are not what was stored.
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: reading.content(submission_id))


def header_section(octets: bytes) -> bytes:
    """Return what stands before the first empty line (RFC 5322 §2.1), with its last line end."""
    if octets.startswith(b"\r\n"):
        return b""
    end = octets.find(b"\r\n\r\n", 0, _LONGEST_HEADER)
    return octets[: end + 2] if end >= 0 else octets[:_LONGEST_HEADER]


async def change(store: Store, verb: Verb, which: QueueFilter, *, now: datetime, by: str) -> int:
    """Do `verb` to all matching deliveries and return how many it changed.

    They are changed in batches, each with its events; `by` names the operator in them. States in
    `which` are replaced by those that the verb leads from.

    Raises:
        StoreUnavailableError: what came before it stays changed.

    """
    change = _CHANGES[verb]
    wanted = replace(which, states=change.states)
    changed = 0
    after: DeliveryId | None = None
    while True:
        rows = await listing(store, wanted, limit=_BATCH, after=after)
        if not rows:
            return changed
        changed += await store.write(_Batch(rows, wanted, change, now, by))
        after = rows[-1].delivery.id


@dataclass(frozen=True, slots=True)
class _Batch:
    """The job that changes some deliveries which were just listed."""

    rows: list[QueueRow]
    wanted: QueueFilter
    change: _Change
    now: datetime
    by: str

    def __call__(self, transaction: Transaction) -> int:
        changed = 0
        for row in self.rows:
            one = replace(self.wanted, id=row.delivery.id)
            if not transaction.change_queue(one, self.change.to, self.now):
                continue
            changed += 1
            event = about_delivery(
                self.change.event, row.delivery, row.submission, self.now, by=self.by
            )
            transaction.add_events([event])
        return changed
