"""What one logs in with: set passwords, add and revoke app passwords and client certificates.

Each verb writes its event in the transaction that changes the account. A running server sees the
change within 1 s (decision 5); sessions that were opened with what is gone send no more mail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final

from gatepost.identity.app_passwords import hash_app_password, new_app_password
from gatepost.identity.certificates import der_text, fingerprint, read_client_certificate
from gatepost.identity.master_key import MasterKey
from gatepost.identity.rehash import with_salt
from gatepost.identity.scram import derive_keys
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.grant import covers
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.lane import Lane
from gatepost.model.secret import Secret
from gatepost.operate.accounts import (
    AccountError,
    BadSenderError,
    By,
    NewPassword,
    changed,
    checked_grants,
    existing,
    password_credential,
)
from gatepost.store.protocols import Reading, Store, Transaction
from gatepost.store.rows import NewerRowError

_MOST_LABEL: Final = 100


class BadCredentialError(AccountError):
    """A label, range, expiry or certificate cannot be used."""


class NoSuchCredentialError(AccountError):
    """There is no such app password or certificate, or more than one."""


class ChangedMeanwhileError(AccountError):
    """Somebody else changed the account at the same moment."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an app password is for. `expires_after` None: never; empty `networks`: from anywhere;
    empty `senders`: all that the account owns; no `lane`: the account's.
    """

    label: str
    expires_after: timedelta | None = None
    networks: Sequence[str] = ()
    senders: Sequence[str] = ()
    lane: Lane | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A new app password: `secret` is shown once, and then nowhere."""

    credential: Credential
    secret: Secret


async def set_password(
    store: Store, name: str, new: NewPassword, *, key: MasterKey, by: By
) -> Account:
    """Replace an account's main password; the old one is good no more. CRAM-MD5 goes with the old
    one unless `new.cram_md5` asks for it again.

    Raises:
        NoSuchAccountError, BadPasswordError, ChangedMeanwhileError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    before = with_salt(await store.read(lambda reading: existing(reading, name)), key)
    credential = password_credential(before, new, key, by.now)

    def job(transaction: Transaction) -> Account:
        account = _with_keys_of(existing(transaction, name), before)
        for old in _main_passwords(transaction, account.name):
            transaction.remove_credential(old)
        transaction.put_credential(credential)
        fresh = replace(account, exposed_at=None)  # a new password is exposed to nobody
        transaction.put_account(fresh)
        transaction.add_events([changed(fresh, by, "password")])
        return fresh

    return await store.write(job)


async def require_app_passwords(store: Store, name: str, *, required: bool, by: By) -> Account:
    """Let the main password log in no more (534), or again.

    Raises:
        NoSuchAccountError: there is none.
        StoreUnavailableError: nothing was written.

    """

    def job(transaction: Transaction) -> Account:
        account = replace(existing(transaction, name), app_passwords_only=required)
        transaction.put_account(account)
        change = "app passwords only" if required else "any password"
        transaction.add_events([changed(account, by, change)])
        return account

    return await store.write(job)


async def add_app_password(
    store: Store,
    name: str,
    wanted: Wanted,
    *,
    credential_id: CredentialId,
    key: MasterKey,
    by: By,
) -> Made:
    """Make an app password, and return it with its secret.

    Raises:
        NoSuchAccountError, BadCredentialError, BadSenderError, ChangedMeanwhileError: nothing was
            written.
        StoreUnavailableError: nothing was written.

    """
    label = _label(wanted.label)
    networks = tuple(map(_network, wanted.networks))
    before = with_salt(await store.read(lambda reading: existing(reading, name)), key)
    secret = new_app_password()
    credential = Credential(
        credential_id,
        before.name,
        CredentialKind.APP_PASSWORD,
        hash_app_password(secret),
        created_at=by.now,
        label=label,
        scram=derive_keys(secret.reveal(), before.salt, before.iterations),
        expires_at=_expiry(wanted.expires_after, by.now),
        networks=networks,
        senders=_senders(before, wanted.senders),
        lane=wanted.lane,
    )

    def job(transaction: Transaction) -> None:
        account = _with_keys_of(existing(transaction, name), before)
        for other in transaction.credentials(account.name):
            if other.kind is credential.kind and other.label == label:
                msg = f'"{label}" is there already'
                raise BadCredentialError(msg, "choose another label, or revoke that one")
        transaction.put_account(account)
        transaction.put_credential(credential)
        transaction.add_events([changed(account, by, f"app password {label} added")])

    await store.write(job)
    return Made(credential, secret)


async def add_certificate(
    store: Store, name: str, octets: bytes, *, label: str, credential_id: CredentialId, by: By
) -> Credential:
    """Register a client certificate (PEM or DER) for EXTERNAL.

    Raises:
        NoSuchAccountError, BadCredentialError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    try:
        found = read_client_certificate(octets)
    except ValueError as problem:
        msg = f"this is no client certificate ({problem})"
        raise BadCredentialError(msg, "give a PEM or DER file, without its key") from None
    if found.expires_at <= by.now:
        msg = f"this certificate expired on {found.expires_at:%Y-%m-%d}"
        raise BadCredentialError(msg, "give one that is good now")
    account = await store.read(lambda reading: existing(reading, name))
    credential = Credential(
        credential_id,
        account.name,
        CredentialKind.CERTIFICATE,
        fingerprint(found.der),
        created_at=by.now,
        label=_label(label or found.subject[:_MOST_LABEL] or "certificate"),
        recoverable=der_text(found.der),
        expires_at=found.expires_at,
    )

    def job(transaction: Transaction) -> None:
        account = existing(transaction, name)
        for other in transaction.certificates():
            if other.verifier == credential.verifier:
                msg = f"this certificate is registered already, for {other.account}"
                raise BadCredentialError(msg, "one certificate proves one account")
        transaction.put_credential(credential)
        transaction.add_events([changed(account, by, "certificate added")])

    await store.write(job)
    return credential


async def revoke(
    store: Store, name: str, which: str, *, kind: CredentialKind, by: By
) -> Credential:
    """Remove an app password or a certificate by its label, its id (or its beginning), or the
    certificate's fingerprint.

    Raises:
        NoSuchAccountError, NoSuchCredentialError: nothing was written.
        StoreUnavailableError: nothing was written.

    """

    def job(transaction: Transaction) -> Credential:
        account = existing(transaction, name)
        found = named_credential(transaction, account.name, which, kind)
        transaction.remove_credential(found.id)
        words = kind.value.replace("-", " ")
        transaction.add_events([changed(account, by, f"{words} {found.label} revoked")])
        return found

    return await store.write(job)


def named_credential(
    reading: Reading, account: AccountName, which: str, kind: CredentialKind | None = None
) -> Credential:
    """Return an account's credential (of a kind) by its label, its id (or its beginning), or its
    certificate's fingerprint; without `kind`, "password" names the main password.

    Raises:
        NoSuchCredentialError: there is none, or more than one.
        NewerRowError: only a newer Gatepost can read it.

    """
    kept = reading.kept_credentials(account)
    for unread in kept.unread:
        if which in {unread.label, unread.id}:
            msg = f'{unread.kind} "{unread.label}" of {account}: {unread.why}'
            raise NewerRowError(msg)
    mine = [c for c in kept.known if kind in {None, c.kind}]
    named = [c for c in mine if which in {_label_or_kind(c), c.id, _mark(c)}]
    named = named or [c for c in mine if len(which) >= 8 and c.id.startswith(which)]
    if len(named) != 1:
        words = kind.value.replace("-", " ") if kind else "credential"
        known = ", ".join(f'"{_label_or_kind(c)}"' for c in mine) or "none"
        what = "more than one" if named else "no"
        msg = f'{account} has {what} {words} "{which}"'
        raise NoSuchCredentialError(msg, f"it has: {known}")
    return named[0]


def _main_passwords(reading: Reading, account: AccountName) -> list[CredentialId]:
    """Return an account's main passwords, also those that only a newer Gatepost can read."""
    kept = reading.kept_credentials(account)
    found = [c.id for c in kept.known if c.kind is CredentialKind.PASSWORD]
    return found + [c.id for c in kept.unread if c.kind == CredentialKind.PASSWORD.value]


def _label_or_kind(credential: Credential) -> str:
    return credential.label or credential.kind.value


def _mark(credential: Credential) -> str:
    if credential.kind is not CredentialKind.CERTIFICATE:
        return credential.id
    return credential.verifier.reveal()


def _with_keys_of(account: Account, before: Account) -> Account:
    """Return an account with the salt under which keys were derived a moment ago."""
    if account.salt and (account.salt, account.iterations) != (before.salt, before.iterations):
        msg = f"{account.name} was changed by somebody else"
        raise ChangedMeanwhileError(msg, "try again")
    return replace(account, salt=before.salt, iterations=before.iterations)


def _label(text: str) -> str:
    label = text.strip()
    if not label or len(label) > _MOST_LABEL or not label.isprintable():
        msg = "the label is empty, too long, or not printable"
        raise BadCredentialError(msg, 'say what it is for: --label "office printer"')
    return label


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError as problem:
        mend = 'write an address or a range: "192.0.2.7", "192.0.2.0/24", "2001:db8::/32"'
        raise BadCredentialError(f'"{text}" is no address range', mend) from problem


def _expiry(after: timedelta | None, now: datetime) -> datetime | None:
    if after is None:
        return None
    try:
        expires_at = now + after
    except OverflowError:
        expires_at = now
    if expires_at <= now:
        msg = "it would expire at once, or never"
        raise BadCredentialError(msg, "say how long it is good: --expires 90d")
    return expires_at


def _senders(account: Account, senders: Sequence[str]) -> tuple[str, ...]:
    found = checked_grants(senders)
    for sender in found:
        if not covers(account.senders, sender):
            msg = f"{sender} is not the account's own"
            raise BadSenderError(msg, f"it may send as {', '.join(account.senders)}")
    return found
