"""How much an organisation sends to a provider's consumers in a day: what every store promises."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BulkCount:
    """Recipients at one provider on one day (UTC), written to by one organisational domain."""

    day: date
    provider: str
    domain: str
    count: int


class ReadsBulk(Protocol):
    """The reading half."""

    def bulk_counts(self, since: date) -> list[BulkCount]:
        """Return the counts of that day and later ones, newest day first, then the largest."""
        ...


class CountsBulk(Protocol):
    """The changing half."""

    def count_bulk(self, counts: Iterable[BulkCount]) -> list[BulkCount]:
        """Add to the counts, and return what they are now, in the same order."""
        ...

    def forget_bulk(self, before: date) -> int:
        """Remove the counts of days before then; how many."""
        ...
