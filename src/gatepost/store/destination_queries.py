"""Which destinations have mail that is due, asked of the index that begins with them."""

from datetime import datetime
from typing import Final

from gatepost.model.lane import Lane
from gatepost.store.destinations import Walked
from gatepost.store.rows import LANE_NUMBERS, microseconds
from gatepost.store.statements import Asks

_NEXT: Final = (
    "(SELECT min(d.destination) FROM delivery AS d INDEXED BY delivery_due"
    " WHERE d.state = 0 AND d.lane = ?1 AND d.destination > {})"
)
#: From one name to the next, whatever number of rows each has.
_WALK: Final = (
    f"WITH RECURSIVE walk(destination, step) AS (SELECT {_NEXT.format('?2')}, 1"  # noqa: S608
    f" UNION ALL SELECT {_NEXT.format('walk.destination')}, walk.step + 1 FROM walk"
    " WHERE walk.destination IS NOT NULL AND walk.step < ?3)"
    " SELECT walk.destination, (SELECT min(d.ready_at) FROM delivery AS d INDEXED BY delivery_due"
    " WHERE d.state = 0 AND d.lane = ?1 AND d.destination = walk.destination) FROM walk"
    " WHERE walk.destination IS NOT NULL ORDER BY walk.destination"
)


class DestinationQueries(Asks):
    """`ReadsDestinations`."""

    #: Microseconds that the store's clock is ahead of ours.
    ahead = 0

    def due_destinations(self, lane: Lane, now: datetime, *, after: str, limit: int) -> Walked:
        """Look at the next destinations for which mail of a lane waits."""
        at = microseconds(now) + self.ahead
        rows = list(self._rows(_WALK, (LANE_NUMBERS[lane], after, limit)))
        due = tuple(name for name, ready_at in rows if ready_at <= at)
        return Walked(due, rows[-1][0] if len(rows) == limit else "")
