"""How near each organisation is to being a bulk sender, as an operator sees it."""

from datetime import date, timedelta
from typing import Any

from gatepost.reception.mailbox_providers import mailbox_providers
from gatepost.store.bulk import BulkCount
from gatepost.store.protocols import Store


async def bulk_counts(store: Store, today: date, *, days: int) -> list[BulkCount]:
    """Return the counts of so many days up to today, newest first.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    since = today - timedelta(days=days - 1)
    return await store.read(lambda reading: reading.bulk_counts(since))


def limit_of(count: BulkCount) -> int | None:
    """Return from how many messages on the provider calls a sender a bulk sender."""
    provider = mailbox_providers().by_name.get(count.provider)
    return provider.bulk if provider else None


def as_json(count: BulkCount) -> dict[str, Any]:
    """Return a count as plain values."""
    return {
        "day": count.day.isoformat(),
        "provider": count.provider,
        "domain": count.domain,
        "count": count.count,
        "limit": limit_of(count),
    }
