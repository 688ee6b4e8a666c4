"""Paused source addresses, in a table."""

from typing import Final

from gatepost.store.pauses import Pause
from gatepost.store.rows import microseconds, moment
from gatepost.store.statements import Asks, Changes, upsert_one

_COLUMNS: Final = "address, since, paused_by, reason"
_PUT: Final = upsert_one("egress_pause", _COLUMNS, "address")


class PauseTable(Asks):
    """`ReadsPauses`."""

    def pauses(self) -> list[Pause]:
        """Return all, by address."""
        sql = f"SELECT {_COLUMNS} FROM egress_pause ORDER BY address"  # noqa: S608 - our own names
        return [Pause(row[0], moment(row[1]), row[2], row[3]) for row in self._rows(sql)]


class PauseTableChanges(PauseTable, Changes):
    """`ChangesPauses`."""

    def put_pause(self, pause: Pause) -> None:
        """Insert or replace."""
        self._run(_PUT, (pause.address, microseconds(pause.since), pause.by, pause.reason))

    def remove_pause(self, address: str) -> bool:
        """Remove."""
        return self._change("DELETE FROM egress_pause WHERE address = ?", (address,)) > 0
