"""Rows of what is sent to providers' consumers, in tables."""

from collections.abc import Iterable
from datetime import date
from typing import Final

from gatepost.store.bulk import BulkCount
from gatepost.store.statements import Asks, Changes

_COUNTS: Final = (
    "SELECT day, provider, domain, count FROM bulk WHERE day >= ?"
    " ORDER BY day DESC, count DESC, provider, domain"
)
_ADD: Final = (
    "INSERT INTO bulk (day, provider, domain, count) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (day, provider, domain) DO UPDATE SET count = bulk.count + excluded.count RETURNING bulk.count"
)


class BulkTable(Asks):
    """`ReadsBulk`."""

    def bulk_counts(self, since: date) -> list[BulkCount]:
        """Return the counts of that day and later ones."""
        rows = self._rows(_COUNTS, (since.isoformat(),))
        return [BulkCount(date.fromisoformat(row[0]), row[1], row[2], row[3]) for row in rows]


class BulkTableChanges(BulkTable, Changes):
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
        return self._change("DELETE FROM bulk WHERE day < ?", (before.isoformat(),))
