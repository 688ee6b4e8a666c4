"""Make events, and carry those that belong to no transaction into the outbox, many at a time.

What changes a row is recorded by the job that changes it. A refusal at the door changes nothing:
it waits here for up to half a second, so that a flood of refusals costs two commits a second and
not one each.
"""

import asyncio
import contextlib
import logging
from datetime import datetime
from typing import Final

from gatepost.events.crowd import MINUTE, Crowd
from gatepost.model.delivery import Delivery, Outcome
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.submission import Submission
from gatepost.net.clock import now
from gatepost.store.protocols import Store, StoreUnavailableError

_log = logging.getLogger(__name__)

#: Events that may wait. A store that is away must not fill the memory: beyond it the oldest go.
_MOST: Final = 10_000
#: Seconds between two writes; also how long a store that is away is left alone.
_INTERVAL: Final = 0.5


def about_delivery(
    kind: EventKind,
    delivery: Delivery,
    submission: Submission,
    at: datetime,
    *,
    outcome: Outcome | None = None,
    **facts: Fact | None,
) -> Event:
    """Return an event of one delivery: its recipient and attempts, the outcome, further facts.

    Facts that are None or "" are left out.
    """
    told: dict[str, Fact | None] = {"recipient": delivery.forward_path}
    if delivery.attempts:
        told["attempt"] = delivery.attempts
    if outcome is not None:
        told |= {
            "code": outcome.code or None,
            "status": outcome.status,
            "text": outcome.text,
            "host": outcome.host,
            "address": outcome.address,
            "tls": outcome.tls,
            "source": outcome.source,
        }
    told |= facts
    return Event(
        kind,
        at,
        submission_id=submission.id,
        delivery_id=delivery.id,
        account=submission.account,
        facts={key: fact for key, fact in told.items() if fact is not None and fact != ""},
    )


class Recorder:
    """Holds events until the next write. One per worker; `record` costs one append."""

    __slots__ = ("_crowd", "_events", "_lost", "_store", "_wake")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events: list[Event] = []
        self._crowd = Crowd()
        self._lost = 0
        self._wake = asyncio.Event()

    def record(self, event: Event) -> None:
        """Take an event. Never waits, never fails; loses the oldest half when the store is away.
        A crowd of refusals is told as one (`crowd`).
        """
        if len(self._events) >= _MOST:
            del self._events[: _MOST // 2]
            self._lost += _MOST // 2
        self._events += self._crowd.admit(event)
        self._wake.set()

    async def run(self) -> None:
        """Write what comes, until cancelled; then write what is left."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MINUTE if self._crowd.waits else None):
                        await self._wake.wait()
                await asyncio.sleep(_INTERVAL)
                self._events += self._crowd.summaries(now())
                await self.flush()
        finally:
            self._events += self._crowd.summaries(now(), now=True)
            await self.flush()

    async def flush(self) -> None:
        """Write all that waits; keeps it when the store is away."""
        self._wake.clear()
        events, self._events = self._events, []
        if not events:
            return
        try:
            await self._write(events)
        except StoreUnavailableError as error:
            _log.warning("%d events wait: the store is away: %s", len(events), error)
            self._keep(events)
            return
        except asyncio.CancelledError:
            # Perhaps written, perhaps not: twice is better than never.
            self._keep(events)
            raise
        if self._lost:
            _log.error("%d events were lost", self._lost)
            self._lost = 0

    async def _write(self, events: list[Event]) -> None:
        """Write events; one that cannot be written is lost, and takes no other with it.

        Raises:
            StoreUnavailableError: they wait (some may have been written).

        """
        try:
            await self._store.write(lambda transaction: transaction.add_events(events))
        except StoreUnavailableError:
            raise
        except Exception as fault:  # noqa: BLE001 - our own fault: the worker goes on
            if len(events) > 1:
                for middle in (slice(len(events) // 2), slice(len(events) // 2, None)):
                    await self._write(events[middle])
                return
            self._lost += 1
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"an event {events[0].kind} was not written", "exception": fault}
            )

    def _keep(self, events: list[Event]) -> None:
        self._events[:0] = events
        self._wake.set()
