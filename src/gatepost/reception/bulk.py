"""Count what each organisation sends to mailboxes of large providers in a day, and warn in time.

From about 5000 a day on Gmail and others hold a sender to stricter rules, Gmail for ever. Counted
are recipients, by UTC day, provider and the organisational domain of From. Counts are gathered here
and added to the store's every two seconds, when the provider of a hosted domain has been looked up:
kill -9 loses as much, nothing else does.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from datetime import date, timedelta
from typing import Final, NamedTuple

from gatepost.model.event import Event, EventKind, Fact
from gatepost.net.clock import now
from gatepost.reception.accept import Accepted
from gatepost.reception.hosted import Hosted
from gatepost.reception.mailbox_providers import MailboxProviders
from gatepost.store.bulk import BulkCount
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction

_log = logging.getLogger(__name__)

#: Seconds between two writes.
_INTERVAL: Final = 2.0
#: Seconds in which the providers of what was counted last are found out when the worker stops.
_LAST_QUESTIONS: Final = 1.0
#: How long counts of past days can be looked at.
_KEPT: Final = timedelta(days=30)


class _Key(NamedTuple):
    day: date
    destination: str
    domain: str


class BulkCounter:
    """Counts what one worker accepts."""

    def __init__(self, store: Store, providers: MailboxProviders, hosted: Hosted) -> None:
        self._store = store
        self._by_name = providers.by_name
        self._hosted = hosted
        self._counts: Counter[_Key] = Counter()

    def count(self, accepted: Accepted) -> None:
        """Count a message that was accepted; one whose organisation is unknown ("") is not."""
        if not accepted.organizational:
            return
        day = accepted.submission.received_at.date()
        for delivery in accepted.deliveries:
            self._counts[_Key(day, delivery.destination, accepted.organizational)] += 1

    async def run(self) -> None:
        """Write what was counted, until cancelled; then write what is left."""
        try:
            while True:
                await asyncio.sleep(_INTERVAL)
                await self._look_up()
                await self.flush()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_QUESTIONS):
                    await self._look_up()
            await self.flush()

    async def _look_up(self) -> None:
        await self._hosted.look_up(key.destination for key in self._counts)

    async def flush(self) -> None:
        """Write what was counted, as far as it is known whose it is; keeps it when the store is away."""
        counts, self._counts = self._counts, Counter()
        by_provider: Counter[tuple[date, str, str]] = Counter()
        for key, count in counts.items():
            if provider := self._hosted.known(key.destination):
                by_provider[key.day, provider.name, key.domain] += count
        rows = [BulkCount(*key, count) for key, count in by_provider.items()]
        if not rows:
            return
        try:
            await self._store.write(lambda transaction: self._add(transaction, rows))
        except StoreUnavailableError as trouble:
            _log.warning("counts of bulk mail wait: the store is away: %s", trouble)
            self._counts += counts
        except Exception:  # noqa: BLE001 - the top of a task: what was counted is lost
            _log.exception("counts of bulk mail were not written: a fault of ours")

    def _add(self, transaction: Transaction, rows: list[BulkCount]) -> None:
        totals = transaction.count_bulk(rows)
        near = [
            total
            for row, total in zip(rows, totals, strict=True)
            if total.count - row.count < self._by_name[row.provider].warn <= total.count
        ]
        if near:
            transaction.add_events([self._event(total) for total in near])
        transaction.forget_bulk(now().date() - _KEPT)

    def _event(self, total: BulkCount) -> Event:
        facts: dict[str, Fact] = {
            "domain": total.domain,
            "provider": total.provider,
            "count": total.count,
            "limit": self._by_name[total.provider].bulk,
            "day": total.day.isoformat(),
        }
        return Event(EventKind.BULK_NEARED, now(), facts=facts)
