"""Whose mail is due, asked of the indexes that have accounts, and their destinations, in order
(`turns`).
"""

from datetime import datetime
from typing import Any, ClassVar, Final

from gatepost.store.rows import LANE_NUMBERS, microseconds
from gatepost.store.statements import Asks
from gatepost.store.turns import Line, Walked

#: The first row behind a name is the one of the next name that falls due first.
_NEXT: Final = (
    "(SELECT n.id FROM delivery AS n INDEXED BY {{index}} WHERE n.state = 0 AND {{lane}} = ?1"
    " AND n.pool = ?2{{of}} AND n.{{name}} {} ORDER BY n.{{name}}, n.ready_at LIMIT 1)"
)
_FOUND: Final = "CASE WHEN d.ready_at <= ?3 THEN 1 ELSE 0 END"
#: From one name to the next, whatever number of rows each has.
_WALK: Final = (
    f"WITH RECURSIVE walk(name, due, found, step) AS (SELECT d.{{name}}, {_FOUND}, {_FOUND}, 1"  # noqa: S608 - our own names
    f" FROM delivery AS d WHERE d.id = {_NEXT.format('{than} ?6')}"
    f" UNION ALL SELECT d.{{name}}, {_FOUND}, walk.found + {_FOUND}, walk.step + 1"
    f" FROM walk CROSS JOIN delivery AS d ON d.id = {_NEXT.format('> walk.name')}"
    " WHERE walk.step < ?4 AND walk.found < ?5)"
    " SELECT name, due, found FROM walk ORDER BY step"
)


class TurnQueries(Asks):
    """`ReadsTurns`."""

    #: Microseconds that the store's clock is ahead of ours.
    ahead = 0
    #: How the two indexes have the lane.
    lane_of_account: ClassVar[str] = "n.lane"
    lane_of_turn: ClassVar[str] = "n.lane"

    def due_accounts(
        self, line: Line, now: datetime, *, after: str | None, limit: int, enough: int
    ) -> Walked:
        """Look at the next accounts of which mail waits."""
        walk = _WALK.format(
            index="delivery_of_account",
            lane=self.lane_of_account,
            of="",
            name="account",
            than=">=" if after is None else ">",
        )
        return self._walked(walk, self._bound(line, now, after, limit, enough))

    def due_destinations(
        self, line: Line, account: str, now: datetime, *, after: str | None, limit: int, enough: int
    ) -> Walked:
        """Look at the next destinations for which mail of an account waits."""
        walk = _WALK.format(
            index="delivery_turn",
            lane=self.lane_of_turn,
            of=" AND n.account = ?7",
            name="destination",
            than=">=" if after is None else ">",
        )
        return self._walked(walk, (*self._bound(line, now, after, limit, enough), account))

    def _bound(
        self, line: Line, now: datetime, after: str | None, limit: int, enough: int
    ) -> tuple[Any, ...]:
        at = microseconds(now) + self.ahead
        return LANE_NUMBERS[line.lane], line.pool, at, limit, enough, after or ""

    def _walked(self, walk: str, bound: tuple[Any, ...]) -> Walked:
        rows = list(self._rows(walk, bound))
        _, _, _, limit, enough, *_ = bound
        is_cut = len(rows) >= limit or (rows and rows[-1][2] >= enough)
        return Walked(tuple(row[0] for row in rows if row[1]), rows[-1][0] if is_cut else None)
