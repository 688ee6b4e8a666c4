"""The database's time without asking for it: what it was once, and how long that is ago.

Leases and due times are the database's (decision 10): nodes whose clocks disagree, or jump, agree
about them all the same.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from gatepost.store.rows import microseconds

#: Microseconds. Clocks that agree so well are one: times come back exactly as they were given.
_SAME: Final = 250_000


class StoreClock:
    """Set by the thread that asks, read by those that write and read."""

    def __init__(
        self,
        fixed: Callable[[], datetime] | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the store's time from `fixed`, where a test has a time of its own. `wall` is the
        clock by which jobs are given their times: it may differ from the machine's.
        """
        self._fixed = fixed
        self._wall = wall
        #: The database's time less our monotonic one, in microseconds.
        self._offset: int | None = None

    def set(self, database: int, asked_at: float, answered_at: float) -> None:
        """Take what the database said its time was, between two of our `time.monotonic`."""
        self._offset = database - int((asked_at + answered_at) * 500_000)

    def now(self) -> tuple[int, int]:
        """Return our time, and how far the database's is ahead of it, in microseconds."""
        if self._fixed is not None:
            return microseconds(self._fixed()), 0
        wall = microseconds(self._wall())
        if self._offset is None:
            return wall, 0
        ahead = self._offset + int(time.monotonic() * 1_000_000) - wall
        return wall, 0 if abs(ahead) < _SAME else ahead
