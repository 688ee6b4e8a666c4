"""Rows of what is sent to providers' consumers, in SQLite's words."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

from gatepost.store.bulk import BulkCount
from gatepost.store.sqlite_rows import Row

_COUNTS: Final = (
    "SELECT day, provider, domain, count FROM bulk WHERE day >= ?"
    " ORDER BY day DESC, count DESC, provider, domain"
)
_ADD: Final = (
    "INSERT INTO bulk (day, provider, domain, count) VALUES (?, ?, ?, ?) ON CONFLICT (day, provider, domain)"
    " DO UPDATE SET count = count + excluded.count RETURNING count"
)


class SqliteBulkReading:
    """`ReadsBulk`; what it is mixed into has the connection."""

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        raise NotImplementedError

    def bulk_counts(self, since: date) -> list[BulkCount]:
        """Return the counts of that day and later ones."""
        rows = self._rows(_COUNTS, (since.isoformat(),))
        return [BulkCount(date.fromisoformat(row[0]), row[1], row[2], row[3]) for row in rows]


class SqliteBulkChanges(SqliteBulkReading):
    """`CountsBulk`."""

    def count_bulk(self, counts: Iterable[BulkCount]) -> list[BulkCount]:
        """Add to the counts, and return what they are now."""
        totals = []
        for each in counts:
            added = (each.day.isoformat(), each.provider, each.domain, each.count)
            ((total,),) = self._rows(_ADD, added)
            totals.append(BulkCount(each.day, each.provider, each.domain, total))
        return totals

    def forget_bulk(self, before: date) -> int:
        """Remove the counts of days before then."""
        sql = "DELETE FROM bulk WHERE day < ? RETURNING 1"
        return sum(1 for _ in self._rows(sql, (before.isoformat(),)))
