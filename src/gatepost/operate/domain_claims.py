"""Accounts bring domains of their own: they ask, prove it by a TXT record, and may send then.

Before the proof nothing is signed for the domain and the account may not send as it: the grant comes
with the proof. Several accounts may prove the same domain, each by its own token.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gatepost.events.journal import time_text
from gatepost.identity.master_key import MasterKey
from gatepost.model.domain import DkimKeyState, Domain
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.grant import covers
from gatepost.model.ids import AccountName
from gatepost.net.resolver import DnsTemporaryError, Resolver
from gatepost.operate.accounts import By, changed
from gatepost.operate.accounts import existing as existing_account
from gatepost.operate.domain_check_records import texts_of
from gatepost.operate.domains import (
    DomainError,
    domain_event,
    existing,
    new_keys,
    sending_domain,
    take_back,
)
from gatepost.store.protocols import Reading, Store, Transaction

#: How long a proof may be missing.
GRACE: Final = timedelta(days=7)


class NoSuchClaimError(DomainError):
    """No account has asked for this domain, or not this one."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A domain, and the claims to it that are meant."""

    domain: Domain
    claims: tuple[DomainClaim, ...]

    @property
    def unproven(self) -> tuple[DomainClaim, ...]:
        """Return the claims that still want their record."""
        return tuple(claim for claim in self.claims if claim.proven_at is None)


def new_token() -> str:
    """Return what nobody publishes by chance."""
    return secrets.token_hex(16)


async def claim(
    store: Store,
    name: str,
    account: str,
    key: MasterKey,
    *,
    by: By,
    token: Callable[[], str] = new_token,
) -> Claimed:
    """Ask for a domain on behalf of an account. One that nobody has added gets keys that do not
    sign yet. Asking again changes nothing.

    Raises:
        BadDomainError, NoSuchAccountError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    domain_name = sending_domain(name)
    keys = new_keys(domain_name, (), key, by.now, DkimKeyState.ACTIVE)

    def job(transaction: Transaction) -> Claimed:
        owner = existing_account(transaction, account)
        domain = transaction.domain(domain_name)
        if domain is None:
            domain = Domain(domain_name, by.now, keys, unproven=True)
            transaction.put_domain(domain)
            words = f"asked for by {owner.name}"
            transaction.add_events([domain_event(EventKind.DOMAIN_ADDED, domain, by, words)])
        for known in transaction.domain_claims(domain_name):
            if known.account == owner.name:
                return Claimed(domain, (known,))
        made = DomainClaim(domain_name, owner.name, token(), by.now)
        transaction.put_domain_claim(made)
        return Claimed(domain, (made,))

    return await store.write(job)


async def claims(store: Store, name: str, account: str | None = None) -> Claimed:
    """Return a domain with the claims to it, or with one account's.

    Raises:
        NoSuchDomainHereError, NoSuchClaimError, NoSuchAccountError: there is none.
        StoreUnavailableError: the store cannot be read.

    """

    def query(reading: Reading) -> Claimed:
        domain = existing(reading, name)
        found = reading.domain_claims(domain.name)
        if account is not None:
            owner = existing_account(reading, account).name
            found = [each for each in found if each.account == owner]
            if not found:
                raise NoSuchClaimError(
                    f"{owner} has not asked for {domain.name}",
                    f'"gatepost domain add {domain.name} --account {owner}" does',
                )
        return Claimed(domain, tuple(found))

    return await store.read(query)


async def verify(store: Store, claimed: Claimed, resolver: Resolver, *, by: By) -> Claimed:
    """Look for the records of claims that are not proven, and let their accounts send where they
    are found. Returns how it stands then.

    Raises:
        DnsTemporaryError: nobody could tell; nothing was written.
        StoreUnavailableError: nothing was written.

    """
    waiting = claimed.unproven
    if not waiting:
        return claimed
    texts = await texts_of(resolver, waiting[0].record_name)
    # With its token: one that was asked for anew meanwhile is another claim.
    proven = {(each.account, each.token) for each in waiting if each.is_proven_by(texts)}
    if not proven:
        return claimed

    def job(transaction: Transaction) -> Claimed:
        domain = existing(transaction, claimed.domain.name)
        kept = []
        for each in transaction.domain_claims(domain.name):
            good = (each.account, each.token) in proven
            kept.append(_prove(transaction, each, by) if good else each)
        if domain.unproven and any(each.proven_at for each in kept):
            domain = replace(domain, unproven=False)
            transaction.put_domain(domain)
        words = f"proven by {', '.join(sorted(account for account, _ in proven))}"
        transaction.add_events([domain_event(EventKind.DOMAIN_CHANGED, domain, by, words)])
        meant = {each.account for each in claimed.claims}
        return Claimed(domain, tuple(each for each in kept if each.account in meant))

    return await store.write(job)


async def look_again(store: Store, domain: str, resolver: Resolver, now: datetime) -> None:
    """Look whether the proofs of accounts are still there. One that is missing for GRACE is none any
    more: who lost the domain may not send as it for ever. What cannot be told changes nothing.

    Raises:
        StoreUnavailableError: nothing was written.

    """
    proven = [
        each
        for each in await store.read(lambda reading: reading.domain_claims(domain))
        if each.proven_at
    ]
    if not proven:
        return
    try:
        texts = await texts_of(resolver, proven[0].record_name)
    except DnsTemporaryError:
        return
    if all(each.is_proven_by(texts) and not each.missing_since for each in proven):
        return

    def job(transaction: Transaction) -> None:
        for each in transaction.domain_claims(domain):
            if each.proven_at:
                _keep_or_lapse(transaction, each, texts, now)

    await store.write(job)


def _keep_or_lapse(
    transaction: Transaction, each: DomainClaim, texts: Sequence[str], now: datetime
) -> None:
    facts: dict[str, Fact] = {"domain": each.domain, "name": each.record_name}
    if each.is_proven_by(texts):
        transaction.put_domain_claim(replace(each, missing_since=None))
    elif each.missing_since is None:
        transaction.put_domain_claim(replace(each, missing_since=now))
        facts["until"] = time_text(now + GRACE)
        event = Event(EventKind.DOMAIN_PROOF_MISSING, now, account=each.account, facts=facts)
        transaction.add_events([event])
    elif now - each.missing_since >= GRACE:
        take_back(transaction, each, By(now, "gatepost"))
        transaction.put_domain_claim(replace(each, proven_at=None, missing_since=None))
        event = Event(EventKind.DOMAIN_PROOF_LAPSED, now, account=each.account, facts=facts)
        transaction.add_events([event])


def _prove(transaction: Transaction, each: DomainClaim, by: By) -> DomainClaim:
    if each.proven_at is not None:
        return each
    proven = replace(each, proven_at=by.now, missing_since=None)
    transaction.put_domain_claim(proven)
    _grant(transaction, each.account, f"@{each.domain}", by)
    return proven


def _grant(transaction: Transaction, name: AccountName, grant: str, by: By) -> None:
    account = transaction.account(name)
    if account is None or covers(account.senders, grant):
        return
    more = replace(account, senders=(*account.senders, grant))
    transaction.put_account(more)
    transaction.add_events([changed(more, by, f"may send as +{grant}")])
