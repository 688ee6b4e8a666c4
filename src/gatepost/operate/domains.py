"""Add, list, show and remove sending domains, and rotate their DKIM keys.

Each verb writes its event in the transaction that changes the domain. A running server signs
accordingly within 1 s (decision 5).
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from itertools import count
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from gatepost.identity.master_key import MasterKey
from gatepost.model.domain import DkimKey, DkimKeyState, Domain, sealing_context
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.domain_name import parse_domain, parse_full_domain
from gatepost.model.event import Event, EventKind
from gatepost.model.wrong import WrongValueError
from gatepost.operate.accounts import By, changed
from gatepost.store.protocols import Reading, Store, Transaction
from gatepost.wire.dkim.sign import GOOD_RSA, BadKeyError, SigningKey, parse_private_key
from gatepost.wire.records.dkim_key import KeyType

_LONGEST_SELECTOR: Final = 63
#: Octets of chance in a selector that we choose.
_CHANCE: Final = 3
_LETTERS: Final = {KeyType.RSA: "r", KeyType.ED25519: "e"}


class DomainError(Exception):
    """Why a verb does nothing. `what` is wrong, `mend` says how to go on."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}: {mend}")
        self.what = what
        self.mend = mend


class BadDomainError(DomainError):
    """The NAME, the selector or the key cannot be one."""


class DomainExistsError(DomainError):
    """There is such a domain already."""


class NoSuchDomainHereError(DomainError):
    """There is no such sending domain."""


class StillNeededError(DomainError):
    """A key that signs no more is not to be forgotten yet."""


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A private key in PEM that is published already, at this selector."""

    selector: str
    pem: bytes


async def add(
    store: Store, name: str, key: MasterKey, *, imported: ImportedKey | None = None, by: By
) -> Domain:
    """Add a domain with new keys, RSA and Ed25519, or with an imported one, and return it.

    An imported key may also be added to a domain that is there: it signs at once, or, where there
    is one of its sort, once `rotate` finds it published. The same key again changes nothing.

    Raises:
        BadDomainError, DomainExistsError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    domain_name = sending_domain(name)
    if imported is None:
        made = new_keys(domain_name, (), key, by.now, DkimKeyState.ACTIVE)
    else:
        made = (_import(domain_name, imported, key, by.now),)

    def job(transaction: Transaction) -> Domain:
        known = transaction.domain(domain_name)
        if known is None:
            domain = Domain(domain_name, by.now, made)
            transaction.put_domain(domain)
            transaction.add_events([domain_event(EventKind.DOMAIN_ADDED, domain, by, "")])
            return domain
        if known.unproven:  # the operator's word is proof enough
            known = replace(known, unproven=False)
            transaction.put_domain(known)
            transaction.add_events([domain_event(EventKind.DOMAIN_CHANGED, known, by, "proven")])
            if imported is None:
                return known
        if imported is None:
            raise DomainExistsError(
                f'"{domain_name}" is a sending domain already',
                f'"gatepost domain show {domain_name}" prints its records',
            )
        return _add_key(transaction, known, made[0], by)

    return await store.write(job)


async def listing(store: Store) -> list[Domain]:
    """Return all sending domains by name.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: reading.domains())


async def show(store: Store, name: str) -> Domain:
    """Return one domain.

    Raises:
        NoSuchDomainHereError: there is none.
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: existing(reading, name))


async def prepare_rotation(store: Store, name: str, key: MasterKey, *, by: By) -> Domain:
    """Make new keys that do not sign yet, and return the domain; where there are such, make none.

    Raises:
        NoSuchDomainHereError: there is none.
        StoreUnavailableError: nothing was written.

    """
    known = await show(store, name)
    made = new_keys(known.name, known.keys, key, by.now, DkimKeyState.PENDING)

    def change(domain: Domain) -> Domain:
        if domain.in_state(DkimKeyState.PENDING):
            return domain
        return replace(domain, keys=(*domain.keys, *made))

    return await _change(store, name, change, "keys made", by)


async def complete_rotation(store: Store, name: str, *, by: By) -> Domain:
    """Let the keys that were pending sign, and retire those of the same sort that did.

    Raises:
        NoSuchDomainHereError: there is none.
        StoreUnavailableError: nothing was written.

    """

    def change(domain: Domain) -> Domain:
        pending = domain.in_state(DkimKeyState.PENDING)
        sorts = {key.algorithm for key in pending}
        return replace(domain, keys=tuple(_turned(key, sorts, by.now) for key in domain.keys))

    return await _change(store, name, change, "keys sign", by)


async def forget_retired(store: Store, name: str, *, needed_for: timedelta, by: By) -> Domain:
    """Remove the keys that have signed nothing for as long as `needed_for`: mail that they signed
    may be under way, and wants their records.

    Raises:
        NoSuchDomainHereError: there is none.
        StillNeededError: the key that retired last may still be needed.
        StoreUnavailableError: nothing was written.

    """

    def change(domain: Domain) -> Domain:
        retired = [key.retired_at for key in domain.in_state(DkimKeyState.RETIRING)]
        until = max((at + needed_for for at in retired if at), default=by.now)
        if until > by.now:
            raise StillNeededError(
                f"mail that the old keys of {domain.name} signed may be under way",
                f"wait until {until:%Y-%m-%d %H:%M} UTC, or say --now",
            )
        kept = tuple(key for key in domain.keys if key.state is not DkimKeyState.RETIRING)
        return replace(domain, keys=kept)

    return await _change(store, name, change, "keys forgotten", by)


async def remove(store: Store, name: str, *, by: By) -> Domain:
    """Remove a domain and its keys, and return what it was. Its mail goes unsigned, and accounts
    that had proven it to be theirs send as it no more.

    Raises:
        NoSuchDomainHereError: there is none.
        StoreUnavailableError: nothing was written.

    """

    def job(transaction: Transaction) -> Domain:
        domain = existing(transaction, name)
        for claim in transaction.domain_claims(domain.name):
            take_back(transaction, claim, by)
        transaction.remove_domain(domain.name)
        transaction.add_events([domain_event(EventKind.DOMAIN_REMOVED, domain, by, "")])
        return domain

    return await store.write(job)


def sending_domain(text: str) -> str:
    """Return a NAME as it is kept: lower-case A-labels. U-labels are taken too.

    Raises:
        BadDomainError: it cannot be one.

    """
    try:
        return parse_full_domain(text.removeprefix("@"))
    except WrongValueError as error:
        first = error.wrongs[0]
        raise BadDomainError(first.what, first.mend) from None


def new_keys(
    domain: str, others: Iterable[DkimKey], key: MasterKey, now: datetime, state: DkimKeyState
) -> tuple[DkimKey, ...]:
    """Return an RSA and an Ed25519 key, sealed, with selectors that say the day and that no other key
    has or had, not even one of a domain that was removed: caches and mail under way know that.
    """
    taken = {other.selector for other in others}
    stems = (f"gp{now:%Y%m%d}-{secrets.token_hex(_CHANCE)}" for _ in count())
    free = next(s for s in stems if not taken & {s + letter for letter in _LETTERS.values()})
    made: dict[KeyType, RSAPrivateKey | Ed25519PrivateKey] = {
        KeyType.RSA: generate_private_key(public_exponent=65537, key_size=GOOD_RSA),
        KeyType.ED25519: Ed25519PrivateKey.generate(),
    }
    signing = [SigningKey(domain, free + _LETTERS[sort], each) for sort, each in made.items()]
    return tuple(_sealed(each, key, now, state) for each in signing)


def _sealed(signing: SigningKey, key: MasterKey, now: datetime, state: DkimKeyState) -> DkimKey:
    pem = signing.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = sealing_context(signing.domain, signing.selector)
    return DkimKey(
        selector=signing.selector,
        algorithm=signing.key_type,
        private_key=key.seal(pem.decode(), context),
        public=signing.public,
        created_at=now,
        state=state,
    )


def _import(domain: str, imported: ImportedKey, key: MasterKey, now: datetime) -> DkimKey:
    try:
        selector = parse_domain(imported.selector)
    except WrongValueError:
        selector = ""
    if not 0 < len(selector) <= _LONGEST_SELECTOR:
        msg = f'"{imported.selector}" is no selector'
        raise BadDomainError(msg, 'write the name in front of "._domainkey.", such as "mail2026"')
    try:
        private = parse_private_key(imported.pem)
    except BadKeyError as error:
        mend = "give an unencrypted RSA or Ed25519 private key in PEM"
        raise BadDomainError(str(error), mend) from None
    return _sealed(SigningKey(domain, selector, private), key, now, DkimKeyState.ACTIVE)


def _add_key(transaction: Transaction, domain: Domain, new: DkimKey, by: By) -> Domain:
    for key in domain.keys:
        if key.selector == new.selector:
            if key.public == new.public:
                return domain
            raise DomainExistsError(
                f'"{domain.name}" has another key at the selector "{new.selector}"',
                "import it with a selector of its own",
            )
    if any(k.algorithm is new.algorithm for k in domain.in_state(DkimKeyState.ACTIVE)):
        new = replace(new, state=DkimKeyState.PENDING)
    changed = replace(domain, keys=(*domain.keys, new))
    transaction.put_domain(changed)
    transaction.add_events([domain_event(EventKind.DOMAIN_CHANGED, changed, by, "key imported")])
    return changed


def _turned(key: DkimKey, sorts: set[KeyType], now: datetime) -> DkimKey:
    if key.state is DkimKeyState.PENDING:
        return replace(key, state=DkimKeyState.ACTIVE)
    if key.state is DkimKeyState.ACTIVE and key.algorithm in sorts:
        return replace(key, state=DkimKeyState.RETIRING, retired_at=now)
    return key


async def set_unpublished(store: Store, name: str, mode: str | None, *, by: By) -> Domain:
    """Say what is done with a domain's mail while its key is not published ("sign", "refuse",
    "hold"); None: what the settings say.

    Raises:
        NoSuchDomainHereError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    words = f"unpublished key: {mode or 'as the settings say'}"
    return await _change(store, name, lambda domain: replace(domain, unpublished=mode), words, by)


async def _change(
    store: Store, name: str, change: Callable[[Domain], Domain], words: str, by: By
) -> Domain:
    def job(transaction: Transaction) -> Domain:
        domain = existing(transaction, name)
        changed = change(domain)
        if changed != domain:
            transaction.put_domain(changed)
            transaction.add_events([domain_event(EventKind.DOMAIN_CHANGED, changed, by, words)])
        return changed

    return await store.write(job)


def take_back(transaction: Transaction, claim: DomainClaim, by: By) -> None:
    """Take the grant away that a proof had given."""
    account = transaction.account(claim.account)
    grant = f"@{claim.domain}"
    if claim.proven_at is None or account is None or grant not in account.senders:
        return
    less = replace(account, senders=tuple(each for each in account.senders if each != grant))
    transaction.put_account(less)
    transaction.add_events([changed(less, by, f"may send as -{grant}")])


def existing(reading: Reading, name: str) -> Domain:
    """Return a domain by the name that an operator gave. Raises NoSuchDomainHereError."""
    wanted = sending_domain(name)
    domain = reading.domain(wanted)
    if domain is None:
        near = get_close_matches(wanted, [other.name for other in reading.domains()], n=1)
        mend = f'did you mean "{near[0]}"?' if near else '"gatepost domain list" shows all'
        raise NoSuchDomainHereError(f'there is no sending domain "{wanted}"', mend)
    return domain


def domain_event(kind: EventKind, domain: Domain, by: By, change: str) -> Event:
    """Return the event of a change, which `change` names in a few words ("" for none)."""
    selectors = " ".join(key.selector for key in domain.keys)
    facts = {"domain": domain.name, "selectors": selectors, "by": by.operator}
    return Event(kind, by.now, facts=facts | ({"change": change} if change else {}))
