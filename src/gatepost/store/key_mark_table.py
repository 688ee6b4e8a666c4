"""The mark of the master key, among the counters."""

from typing import Final

from gatepost.store.statements import Asks, Changes, upsert_one

_NAME: Final = "master key"
_PUT: Final = upsert_one("counter", "name, value", "name")


class KeyMarkTable(Asks):
    """`ReadsKeyMark`."""

    def key_mark(self) -> int | None:
        """Return the mark."""
        row = self._row("SELECT value FROM counter WHERE name = ?", (_NAME,))
        return None if row is None else int(row[0])


class KeyMarkTableChanges(KeyMarkTable, Changes):
    """`ChangesKeyMark`."""

    def keep_key_mark(self, mark: int) -> None:
        """Keep it."""
        self._run(_PUT, (_NAME, mark))
