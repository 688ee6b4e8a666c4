"""Tell of a clock that was set, and mend what it left in the queue."""

import logging
from datetime import timedelta
from typing import Final

from gatepost.model.event import Event, EventKind
from gatepost.model.settings import RetrySettings
from gatepost.net import clock
from gatepost.node.parts import Parts

_log = logging.getLogger(__name__)

#: Seconds between two looks for deliveries that wait for a time far ahead.
_HASTEN: Final = 30.0
#: Nothing waits longer between two attempts than `[retry] longest`, spread and given back included.
_LONGER: Final = 1.25
_LEAST: Final = timedelta(minutes=10)


class ClockWatch:
    """Looks for a whole node, in one of its workers."""

    def __init__(self, retry: RetrySettings, parts: Parts) -> None:
        self._longest = max(_LEAST, retry.longest * _LONGER)
        self._parts = parts
        self._off = 0
        self._hasten_at = 0.0

    async def look(self) -> None:
        """Look once. Raises StoreUnavailableError."""
        now = clock.now()  # the store makes it its own
        off = round(clock.off())
        if (off == 0) != (self._off == 0) or abs(off - self._off) > 1:
            self._off = off
            self._tell(off)
        if clock.elapsed() < self._hasten_at:
            return
        later_than = now + self._longest
        store = self._parts.store
        if count := await store.write(lambda transaction: transaction.hasten(later_than, now)):
            _log.warning("%d deliveries waited for a time far ahead: they are due now", count)
            self._parts.scheduler.look()
        self._hasten_at = clock.elapsed() + _HASTEN

    def _tell(self, off: int) -> None:
        if off:
            _log.warning(
                "the clock was set by %+d s: mail goes by the time that really passes, until it is back"
                " or has kept to its new time for a quarter of an hour",
                off,
            )
        else:
            _log.info("the clock is followed again")
        self._parts.recorder.record(Event(EventKind.CLOCK_TURNED, clock.now(), facts={"off": off}))
