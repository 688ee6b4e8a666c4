"""What waits for a time that its sender chose (RFC 4865), in tables."""

from datetime import datetime
from typing import Final

from gatepost.model.ids import AccountName
from gatepost.store.later import LEAST_COUNTED
from gatepost.store.rows import microseconds
from gatepost.store.statements import Asks

_STORED: Final = (
    f"SELECT sum(CASE WHEN size < {LEAST_COUNTED} THEN {LEAST_COUNTED} ELSE size END)"  # noqa: S608
    " FROM submission WHERE account = ? AND release_at > ? AND finished_at IS NULL"
)


class LaterTable(Asks):
    """`ReadsLater`."""

    def stored_for_later(self, account: AccountName, now: datetime) -> int:
        """Return how many octets wait."""
        row = self._row(_STORED, (account, microseconds(now)))
        return int(row[0] or 0) if row else 0
