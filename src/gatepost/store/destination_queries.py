"""Which destinations have mail that is due, asked of the index that has them in order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gatepost.model.lane import Lane
from gatepost.store.destinations import Walked
from gatepost.store.pools import ANY_NODE
from gatepost.store.rows import LANE_NUMBERS, microseconds
from gatepost.store.statements import Asks

_NEXT: Final = (
    "(SELECT min(d.destination) FROM delivery AS d INDEXED BY delivery_next_of"
    " WHERE d.state = 0 AND d.lane = ?1 AND d.pool = ?4 AND d.destination > {})"
)
#: From one name to the next, whatever number of rows each has.
_WALK: Final = (
    f"WITH RECURSIVE walk(destination, step) AS (SELECT {_NEXT.format('?2')}, 1"  # noqa: S608
    f" UNION ALL SELECT {_NEXT.format('walk.destination')}, walk.step + 1 FROM walk"
    " WHERE walk.destination IS NOT NULL AND walk.step < ?3)"
    " SELECT walk.destination, (SELECT min(d.ready_at) FROM delivery AS d"
    " INDEXED BY delivery_next_of"
    " WHERE d.state = 0 AND d.lane = ?1 AND d.pool = ?4 AND d.destination = walk.destination) FROM walk"
    " WHERE walk.destination IS NOT NULL ORDER BY walk.destination"
)


class DestinationQueries(Asks):
    """`ReadsDestinations`."""

    #: Microseconds that the store's clock is ahead of ours.
    ahead = 0

    def due_destinations(
        self,
        lane: Lane,
        now: datetime,
        *,
        after: str,
        limit: int,
        pools: Sequence[str] = ANY_NODE,
    ) -> Walked:
        """Look at the next destinations for which mail of a lane waits."""
        at = microseconds(now) + self.ahead
        walks = [
            list(self._rows(_WALK, (LANE_NUMBERS[lane], after, limit, pool))) for pool in pools
        ]
        # What lies behind the end of a walk that was cut is not known of all.
        last = min((rows[-1][0] for rows in walks if len(rows) == limit), default="")
        due = {
            name
            for rows in walks
            for name, ready_at in rows
            if ready_at <= at and (not last or name <= last)
        }
        return Walked(tuple(sorted(due)), last)
