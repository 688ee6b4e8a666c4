"""Which pools have mail, asked of the index that has them in order (`pools`)."""

from datetime import datetime
from typing import Final

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import DeliveryId
from gatepost.model.lane import LANES
from gatepost.store.rows import LANE_NUMBERS, STATES, microseconds
from gatepost.store.statements import Asks
from gatepost.wire.smtp.notification import Notify

_NEXT: Final = (
    "(SELECT min(d.pool) FROM delivery AS d INDEXED BY delivery_next"
    " WHERE d.state = 0 AND d.lane = ?1 AND d.pool > {})"
)
_FIRST: Final = _NEXT.format("''")
#: From one name to the next, whatever number of rows each has.
_WALK: Final = (
    f"WITH RECURSIVE walk(pool) AS (SELECT {_FIRST} UNION ALL"  # noqa: S608
    f" SELECT {_NEXT.format('walk.pool')} FROM walk WHERE walk.pool IS NOT NULL)"
    " SELECT walk.pool FROM walk WHERE walk.pool IS NOT NULL"
)
_STRAYS: Final = (
    "SELECT d.id FROM delivery AS d CROSS JOIN submission AS s ON s.id = d.submission_id"  # noqa: S608
    " WHERE d.state = 0 AND d.lane = ? AND d.pool = ? AND d.ready_at <= ?"
    " AND (d.expires_at <= ? OR (d.warned = 0 AND s.reverse_path <> ''"
    f" AND (d.notify IS NULL OR (d.notify & {Notify.DELAY.value}) <> 0)"
    " AND coalesce(s.release_at, s.received_at) <= ?))"
    " ORDER BY d.ready_at LIMIT ?"
)


class PoolQueries(Asks):
    """`ReadsPools`."""

    #: Microseconds that the store's clock is ahead of ours.
    ahead = 0

    def waiting_pools(self) -> list[str]:
        """Return the pools of which deliveries are due."""
        return sorted(
            {row[0] for lane in LANES for row in self._rows(_WALK, (LANE_NUMBERS[lane],))}
        )

    def pool_depth(self) -> dict[str, dict[DeliveryState, int]]:
        """Count what is not finished, by pool and state."""
        depth: dict[str, dict[DeliveryState, int]] = {}
        sql = "SELECT pool, state, count(*) FROM delivery INDEXED BY delivery_next GROUP BY pool, state"
        for pool, state, count in self._rows(f"{sql} ORDER BY pool, state"):
            if state < len(STATES):  # else one that only a newer program knows
                depth.setdefault(pool, {})[STATES[state]] = count
        return depth

    def strays(
        self, pool: str, now: datetime, *, received_before: datetime, limit: int
    ) -> list[DeliveryId]:
        """Return what waits for a pool and has to be looked after."""
        at, before = microseconds(now) + self.ahead, microseconds(received_before)
        found: list[DeliveryId] = []
        for lane in LANES:
            wanted = (LANE_NUMBERS[lane], pool, at, at, before, limit - len(found))
            found += (DeliveryId(row[0]) for row in self._rows(_STRAYS, wanted))
        return found
