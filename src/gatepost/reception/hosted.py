"""Behind which large provider a domain's mailboxes are: told by its MX (RFC 5321 §5.1).

Delivery asks the DNS the same a moment earlier or later, and one cache answers both. What cannot be
found out is behind nobody: this is for counters that warn, not for limits.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError, Resolver
from gatepost.reception.mailbox_providers import MailboxProvider, MailboxProviders

#: Seconds that an answer serves, and a failure.
_BELIEVED: Final = 3600.0
_FAILED_FOR: Final = 300.0
_MOST_KEPT: Final = 20_000
#: Questions at once, and seconds for all of one round.
_AT_ONCE: Final = 20
_PATIENCE: Final = 5.0


class Hosted:
    """What is known of domains. One per process, used from one event loop."""

    def __init__(
        self,
        providers: MailboxProviders,
        resolver: Resolver,
        goes_by_mx: Callable[[str], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what tells whether we ourselves ask for a domain's MX: others are not asked about."""
        self._providers = providers
        self._resolver = resolver
        self._goes_by_mx = goes_by_mx
        self._clock = clock
        self._kept: dict[str, tuple[float, MailboxProvider | None]] = {}

    def known(self, domain: str) -> MailboxProvider | None:
        """Return whose mailboxes a domain's are (lower-case A-labels), by what is known now."""
        found = self._providers.by_domain.get(domain)
        return found or self._kept.get(domain, (0.0, None))[1]

    async def look_up(self, domains: Iterable[str]) -> None:
        """Find out what is not known; takes some seconds at most, whatever the DNS does."""
        at = self._clock()
        asked = [name for name in set(domains) if self._is_open(name, at)]
        if not asked:
            return
        turns = asyncio.Semaphore(_AT_ONCE)
        if len(self._kept) + len(asked) > _MOST_KEPT:
            self._kept.clear()
        for name in asked:
            self._kept[name] = (at + _FAILED_FOR, None)
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*(self._ask(name, turns) for name in asked))
        except TimeoutError:
            return

    def _is_open(self, name: str, at: float) -> bool:
        if name in self._providers.by_domain or name.startswith("[") or not name:
            return False
        return self._kept.get(name, (0.0, None))[0] <= at and self._goes_by_mx(name)

    async def _ask(self, name: str, turns: asyncio.Semaphore) -> None:
        async with turns:
            try:
                answer = await self._resolver.mx(name)
            except DnsTemporaryError:
                return
            except NoSuchDomainError:
                found = None
            else:
                best = min(answer.records, key=lambda record: record.preference, default=None)
                found = self._providers.behind(best.host) if best else None
            self._kept[name] = (self._clock() + _BELIEVED, found)
