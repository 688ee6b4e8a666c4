"""After a loss of power: what had been accepted, and whose rows were not on the disk yet (ADR 34).

Rows say up to where they tell of a segment's contents (`segment_log`). Beyond stands what was written
and synced, but whose rows were lost; or, of one batch at most, what was not committed, and of which nobody
has heard either. Both come back: a message twice is better than one lost.
"""

import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.submission import Submission
from gatepost.store.envelope import Envelope
from gatepost.store.protocols import (
    ContentDamagedError,
    ContentUnreadableError,
    StoreUnavailableError,
    Transaction,
)
from gatepost.store.quota_recount import spendings_of
from gatepost.store.recovered import OldDatabaseError
from gatepost.store.segment_records import Record, records
from gatepost.store.segments import (
    Place,
    abandoned,
    disk_trouble,
    read_content,
    segment_path,
    segments,
    size,
)
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
#: More octets than a segment has: noted of one that was removed, so that nothing of it comes back with it.
GONE: Final = 2**62
#: Noted before the name of a segment, or alone for all, while nobody has looked what a loss of power took.
UNSEEN: Final = "?"
_MEND: Final = 'where the disk is lost, "gatepost store repair" goes on with what can be read'
_WHY: Final = "its row was not on the disk when the power went"


@value(frozen=True, slots=True)
class Redo:
    """A message that comes back, and where its content lies."""

    envelope: Envelope
    place: Place


@dataclass(frozen=True, slots=True)
class Tails:
    """What no rows tell of, and up to where, by segment, they will; and which segments somebody held,
    so that they have to be looked at later.
    """

    redos: tuple[Redo, ...]
    ends: Mapping[str, int]
    left_out: tuple[str, ...]


def is_told(reading: SqliteReading) -> bool:
    """Tell whether rows tell of all that stands in segments, as far as their sizes say."""
    told = {row[0]: row[1] for row in reading.rows(TOLD)}
    directory = reading.directory
    return all(size(directory, name) <= told.get(name, 0) for name in segments(directory))


def is_unseen(told: Container[str], segment: str) -> bool:
    """Tell whether what a loss of power left in a segment has still to be looked for."""
    return UNSEEN in told or UNSEEN + segment in told


def is_noted(tails: Tails, told: Iterable[str]) -> bool:
    """Tell whether it is noted which segments have still to be looked at."""
    return {UNSEEN + name for name in tails.left_out} == {
        name for name in told if name.startswith(UNSEEN)
    }


def find_tails(
    directory: Path, names: Iterable[str], told: Mapping[str, int], held: ExitStack
) -> Tails:
    """Return what stands in segments of these names beyond what rows tell of; `told` says how far
    they do. The segments are `held`.

    Raises:
        StoreUnavailableError: there is no telling; nothing may be concluded.

    """
    redos: list[Redo] = []
    ends, left_out = {}, []
    for name in names:
        begin = told.get(name, 0)
        if _size(directory, name) <= begin:
            continue
        end = held.enter_context(abandoned(directory, name, is_sure=True))
        if end is None:
            left_out.append(name)
        elif end > begin:
            redos += _redos(directory, name, begin)
            ends[name] = end
    return Tails(tuple(redos), ends, tuple(left_out))


def _size(directory: Path, segment: str) -> int:
    try:
        return segment_path(directory, segment).stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise disk_trouble(error) from error


def refuse_old(redos: Sequence[Redo], settled_at: datetime | None) -> None:
    """Refuse what no loss of power can have taken: it spans more than one takes, or is older than the
    last event that was synced, whose commit would have synced it (a segment came back that had gone, say).

    Raises:
        OldDatabaseError: so it is.

    """
    times = [redo.envelope.submission.received_at for redo in redos]
    if not times:
        return
    since = max(times) if settled_at is None else max(*times, settled_at)
    if since - min(times) > MOST:
        msg = (
            f"segments hold {len(redos)} messages, the first of {min(times)}, that no row tells of"
        )
        raise OldDatabaseError(msg)


def log_ends(
    ends: Mapping[str, int], left_out: Iterable[str], transaction: SqliteTransaction
) -> None:
    """Note up to where rows tell of segments, and at which one has still to look."""
    transaction.execute("DELETE FROM segment_log WHERE segment >= '?' AND segment < '@'")
    for end in (*ends.items(), *((UNSEEN + name, 0) for name in left_out)):
        transaction.execute(LOG, end)


def _redos(directory: Path, segment: str, begin: int) -> Iterator[Redo]:
    for record in records(directory, segment, begin, is_sure=True):
        envelope = record.envelope
        if envelope is not None and envelope.suffices and _is_whole(directory, record):
            yield Redo(envelope, record.place)


def _is_whole(directory: Path, record: Record) -> bool:
    """Tell whether a content is what was to be written; where not, it was not synced, so not accepted.
    Raises StoreUnavailableError where the disk does not say.
    """
    try:
        read_content(directory, record.place)
    except ContentUnreadableError as problem:
        raise StoreUnavailableError(str(problem), mend=_MEND) from problem
    except ContentDamagedError as problem:
        _log.warning("store: what was written last is not brought back: %s", problem)
        return False
    return True


def bring_back(redo: Redo, now: datetime, transaction: Transaction) -> bool:
    """Write the rows of a message anew, with their events, and count it in quotas, as the commit did that
    was lost; False where they are there, and counted.
    """
    submission, deliveries = redo.envelope.submission, redo.envelope.deliveries
    if transaction.submission(submission.id) is not None:
        return False
    transaction.add_deliveries(submission, deliveries)
    if redo.envelope.counted:
        transaction.spend(spendings_of(redo.envelope))
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
