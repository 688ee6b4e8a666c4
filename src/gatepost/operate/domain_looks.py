"""Look at the records of sending domains again and again, and keep what was found.

All workers ask; a claim in the store lets one of them look. What waited for a key to be published
goes out once it is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gatepost.model.domain import Domain
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.domain_look import DomainLook, Finding, Health, Standing, looked
from gatepost.model.event import Event, EventKind, Fact
from gatepost.operate.domains import listing, show
from gatepost.operate.queue_change import Order, Verb, change
from gatepost.reception.readiness import is_ready, waits_for
from gatepost.store.protocols import Store, Transaction
from gatepost.store.queue_view import QueueFilter
from gatepost.store.rows import NewerRowError

_log = logging.getLogger(__name__)

#: What is not known to be good is looked at so often: mended records shall be seen soon.
_IMPATIENCE: Final = timedelta(minutes=5)
#: A claim lasts longer than any look: 100 look-ups that nobody answers.
_CLAIM: Final = timedelta(minutes=10)
_LONGEST_LOOK: Final = 300.0
#: Domains whose DNS is silent shall not hold up all others.
_AT_ONCE: Final = 8

Check = Callable[[Domain], Awaitable[tuple[Finding, ...]]]


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at domains. `check` asks the DNS about one; `every` is how often a good one is looked
    at; `now` the clock; `prove` looks at the proofs of accounts that brought it.
    """

    store: Store
    check: Check
    every: timedelta
    now: Callable[[], datetime]
    prove: Callable[[Domain], Awaitable[None]] | None = None

    async def look(self) -> int:
        """Look at each domain that is due and that nobody else looks at; return how many.

        Raises:
            StoreUnavailableError: the store cannot be used.

        """
        domains, looks = await self.store.read(
            lambda reading: (reading.domains(), reading.domain_looks())
        )
        # What nobody has proven to be his is nobody's to be told of.
        due = [
            domain
            for domain in domains
            if not domain.unproven and is_due(looks.get(domain.name), self.every, self.now())
        ]
        count = 0
        for first in range(0, len(due), _AT_ONCE):
            count += sum(await asyncio.gather(*map(self._look_at, due[first : first + _AT_ONCE])))
        return count

    async def _look_at(self, domain: Domain) -> int:
        at = self.now()
        if not await self.store.write(
            lambda transaction: transaction.claim_domain_look(domain.name, at, at + _CLAIM)
        ):
            return 0
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                findings = await self.check(domain)
                if self.prove:
                    await self.prove(domain)
            await note(self.store, domain, findings, self.now())
        except TimeoutError:
            _log.warning("the DNS is too slow to look at the records of %s", domain.name)
            return 0
        except NewerRowError as why:
            _log.warning("the look at %s is left to a newer program: %s", domain.name, why)
            return 0
        return 1


@dataclass(frozen=True, slots=True)
class Seen:
    """A domain with the last look at it and accounts' claims to it."""

    domain: Domain
    look: DomainLook | None
    claims: tuple[DomainClaim, ...] = ()


async def seen(store: Store, name: str | None = None) -> list[Seen]:
    """Return all domains by name, or one, with the last look at each.

    Raises:
        NoSuchDomainHereError: there is none of this name.
        StoreUnavailableError: the store cannot be read.

    """
    domains = [await show(store, name)] if name is not None else await listing(store)
    looks, claims = await store.read(
        lambda reading: (reading.domain_looks(), reading.domain_claims())
    )
    return [
        Seen(d, looks.get(d.name), tuple(each for each in claims if each.domain == d.name))
        for d in domains
    ]


def is_due(look: DomainLook | None, every: timedelta, now: datetime) -> bool:
    """Tell whether a domain is to be looked at: a good one after `every`, another one soon."""
    if look is None:
        return True
    unsure = any(finding.is_serious for finding in look.findings)
    wait = min(every, _IMPATIENCE) if unsure or look.health is not Health.GOOD else every
    return now - look.looked_at >= wait


async def note(
    store: Store, domain: Domain, findings: tuple[Finding, ...], now: datetime
) -> DomainLook | None:
    """Keep what a look found, tell when the domain turned bad or good, and let go what waited for
    its key. None when the domain was removed meanwhile.

    Raises:
        StoreUnavailableError: nothing, or not all, was written.

    """

    def job(transaction: Transaction) -> DomainLook | None:
        if transaction.domain(domain.name) is None:
            return None
        before = transaction.domain_look(domain.name)
        look = looked(before, domain.name, findings, now)
        transaction.put_domain_look(look)
        if look.health is not (before.health if before else Health.UNSEEN):
            transaction.add_events([_turned(look)])
        return look

    look = await store.write(job)
    if look and is_ready(domain, look):
        held = QueueFilter(reason=waits_for(domain.name))
        await change(store, Order(Verb.RELEASE, held, "gatepost"), now)
    return look


def _turned(look: DomainLook) -> Event:
    facts: dict[str, Fact] = {"domain": look.domain}
    if look.health is Health.GOOD:
        return Event(EventKind.DOMAIN_PASSING, look.looked_at, facts=facts)
    bad = (f for f in look.findings if f.standing in {Standing.MISSING, Standing.WRONG})
    facts["reason"] = "; ".join(f"{f.purpose} at {f.name}: {f.what}: {f.mend}" for f in bad)[:2000]
    return Event(EventKind.DOMAIN_FAILING, look.looked_at, facts=facts)
