"""Until when all leases that have ended are known to be taken over: nobody looks there again.

While somebody reads for long (a dump), rows that are gone stay in the indexes, and each look for ended leases
would pass over all that was ever leased since. But a lease ends in the future when it is granted: where none was
left at some time, none can be before that time later on.
"""

from collections.abc import Sequence
from typing import Final

#: Microseconds. A lease is granted by the database's time, and may be committed late.
_SLACK: Final = 60_000_000
#: So often everything is looked at all the same: a transaction that was rolled back has found nothing.
_ANEW: Final = 300_000_000


class Swept:
    """By which pools were asked. One per process; times are the database's, in microseconds."""

    def __init__(self) -> None:
        self._floors: dict[tuple[str, ...], int] = {}
        self._looked_at = 0

    def floor(self, pools: Sequence[str], at: int) -> int:
        """Return since when ended leases of these pools are to be looked for, now that it is `at`."""
        if not 0 <= at - self._looked_at < _ANEW:
            self._floors.clear()
            self._looked_at = at
        return min(self._floors.get(tuple(pools), 0), at)

    def is_clear(self, pools: Sequence[str], at: int) -> None:
        """Hear that no lease of these pools was left that had ended."""
        self._floors[tuple(pools)] = at - _SLACK
