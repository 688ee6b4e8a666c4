"""Follow a message: what it is, where its deliveries stand, and all that happened to it."""

from dataclasses import dataclass
from typing import Any, Final

from gatepost.events.journal import event_json
from gatepost.model.delivery import Delivery
from gatepost.model.event import Event
from gatepost.model.ids import SubmissionId
from gatepost.model.submission import Submission
from gatepost.operate.as_json import delivery_json, submission_json
from gatepost.operate.waiting import with_reasons
from gatepost.store.protocols import Reading, Store
from gatepost.store.queue_view import QueueFilter

#: Of one message: recipients, and events (a delivery that is tried for days has hundreds).
_MOST_DELIVERIES: Final = 10_000
_MOST_EVENTS: Final = 100_000
_PAGE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Traced:
    """One message's life. `submission` is None when retention has let it go."""

    id: SubmissionId
    submission: Submission | None
    deliveries: tuple[Delivery, ...]
    events: tuple[Event, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "id": self.id,
            "message": submission_json(self.submission) if self.submission else None,
            "deliveries": [delivery_json(d) for d in self.deliveries],
            "events": [event_json(e) for e in self.events],
        }


async def trace(store: Store, what: str, *, limit: int = 20) -> list[Traced]:
    """Return the messages that `what` names, newest first.

    `what` is an id (or its beginning), a Message-ID with or without its angle brackets, or a
    recipient.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    found = await store.read(lambda reading: _find(reading, what.strip(), limit))
    return [await follow(store, submission_id) for submission_id in found]


async def follow(store: Store, submission_id: SubmissionId) -> Traced:
    """Return one message's life.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: _follow(reading, submission_id))


def _find(reading: Reading, what: str, limit: int) -> list[SubmissionId]:
    found = reading.find_submissions(what, limit=limit)
    if not found and "@" in what and not what.startswith("<"):
        found = reading.find_submissions(f"<{what}>", limit=limit)
    return found


def _follow(reading: Reading, submission_id: SubmissionId) -> Traced:
    found = reading.deliveries(QueueFilter(id=submission_id), limit=_MOST_DELIVERIES)
    rows = with_reasons(reading, found)
    events: list[Event] = []
    after = 0
    while len(events) < _MOST_EVENTS:
        page = reading.events(submission_id=submission_id, after=after, limit=_PAGE)
        events += (stored.event for stored in page)
        if len(page) < _PAGE:
            break
        after = page[-1].position
    return Traced(
        submission_id,
        reading.submission(submission_id),
        tuple(row.delivery for row in rows),
        tuple(events),
    )
