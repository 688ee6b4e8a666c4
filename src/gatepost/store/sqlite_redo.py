"""After a loss of power: what had been accepted, and whose rows were not on the disk yet (ADR 34).

Rows say up to where they tell of a segment's contents (`segment_log`). Beyond stands what was written
and synced, but whose rows were lost; or, of one batch at most, what was not committed, and of which nobody
has heard either. Both come back: a message twice is better than one lost.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.submission import Submission
from gatepost.store.content_identity import recognise
from gatepost.store.envelope import Envelope
from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    Transaction,
)
from gatepost.store.recovered import OldDatabaseError
from gatepost.store.segment_records import Record, records
from gatepost.store.segments import Place, abandoned, read_content, segments, size
from gatepost.store.sqlite_reading import SqliteReading
from gatepost.store.sqlite_transaction import SqliteTransaction
from gatepost.wire.values import value

_log = logging.getLogger(__name__)

#: What one loss of power takes was accepted within a second, or as long as a disk hung before. What
#: spans more was not lost in that way: the database is an old copy.
MOST: Final = timedelta(minutes=10)
#: Notes up to where rows tell of a segment's contents.
LOG: Final = (
    "INSERT INTO segment_log (segment, through) VALUES (?, ?)"
    " ON CONFLICT (segment) DO UPDATE SET through = excluded.through"
)
TOLD: Final = "SELECT segment, through FROM segment_log"
#: Noted in place of a segment while nobody has looked what a loss of power took.
UNSEEN: Final = ""
_WHY: Final = "its row was not on the disk when the power went"


@value(frozen=True, slots=True)
class Redo:
    """A message that comes back, and where its content lies."""

    envelope: Envelope
    place: Place


@dataclass(frozen=True, slots=True)
class Tails:
    """What no rows tell of, and up to where, by segment, they will."""

    redos: tuple[Redo, ...]
    ends: Mapping[str, int]


def is_told(reading: SqliteReading) -> bool:
    """Tell whether rows tell of all that stands in segments, as far as their sizes say."""
    told = {row[0]: row[1] for row in reading.rows(TOLD)}
    directory = reading.directory
    return all(size(directory, name) <= told.get(name, 0) for name in segments(directory))


def find_tails(directory: Path, through: Mapping[str, int], held: ExitStack) -> Tails:
    """Return what stands in segments beyond what rows tell of; `through` says how far they do. The
    segments are `held`, those that somebody writes to are left out.

    Raises:
        ContentAwayError: the directory is not there, or not ours.
        OldDatabaseError: it is more than a loss of power takes.
        StoreUnavailableError: a segment cannot be read at all.

    """
    recognise(directory)
    redos: list[Redo] = []
    ends = {}
    for name in segments(directory):
        told = through.get(name, 0)
        if size(directory, name) <= told:
            continue
        if (end := held.enter_context(abandoned(directory, name))) is not None and end > told:
            redos += _redos(directory, name, told)
            ends[name] = end
    times = [redo.envelope.submission.received_at for redo in redos]
    if times and max(times) - min(times) > MOST:
        msg = (
            f"segments hold {len(redos)} messages of {max(times) - min(times)} that no row tells of"
        )
        raise OldDatabaseError(msg)
    return Tails(tuple(redos), ends)


def log_ends(ends: Mapping[str, int], transaction: SqliteTransaction) -> None:
    """Note up to where rows tell of segments; where that includes `UNSEEN`, that we have to look still."""
    transaction.execute("DELETE FROM segment_log WHERE segment = ?", (UNSEEN,))
    for end in ends.items():
        transaction.execute(LOG, end)


def _redos(directory: Path, segment: str, begin: int) -> Iterator[Redo]:
    for record in records(directory, segment, begin):
        envelope = record.envelope
        if envelope is not None and envelope.suffices and _is_whole(directory, record):
            yield Redo(envelope, record.place)


def _is_whole(directory: Path, record: Record) -> bool:
    """Tell whether a content can be read; where it cannot, it was not synced, so not accepted."""
    try:
        read_content(directory, record.place)
    except (ContentDamagedError, ContentAwayError) as problem:
        _log.warning("store: what was written last is not brought back: %s", problem)
        return False
    return True


def bring_back(redo: Redo, now: datetime, transaction: Transaction) -> bool:
    """Write the rows of a message anew, with their events; False where they are there."""
    submission, deliveries = redo.envelope.submission, redo.envelope.deliveries
    if transaction.submission(submission.id) is not None:
        return False
    transaction.add_deliveries(submission, deliveries)
    transaction.add_events([_accepted(submission, len(deliveries))])
    transaction.add_events([_of_delivery(each, submission, now) for each in deliveries])
    return True


def _of_delivery(delivery: Delivery, submission: Submission, now: datetime) -> Event:
    kind, reason = EventKind.RESTORED, _WHY
    if delivery.state is DeliveryState.CANCELLED:
        kind, reason = EventKind.SUPPRESSED, delivery.reason
    facts: dict[str, Fact] = {"recipient": delivery.forward_path, "reason": reason}
    return Event(kind, now, submission.id, delivery.id, submission.account, facts)


def _accepted(submission: Submission, recipients: int) -> Event:
    """Return the event of its acceptance: the first one went with the rows, and nobody was told."""
    facts: dict[str, Fact] = {
        "from": submission.reverse_path,
        "recipients": recipients,
        "size": submission.size,
        "message_id": submission.message_id,
        "client": submission.client,
    }
    return Event(
        EventKind.ACCEPTED,
        submission.received_at,
        submission.id,
        account=submission.account,
        facts=facts,
    )
