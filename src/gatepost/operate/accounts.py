"""Add, list, suspend, resume and remove accounts; `credentials` has their secrets.

Each verb writes its event in the transaction that changes the account. A running server sees the
change within 1 s (decision 5).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Final

from gatepost.identity.cram import context_of
from gatepost.identity.legacy import read_hash
from gatepost.identity.master_key import MasterKey
from gatepost.identity.passwords import hash_password
from gatepost.identity.rehash import with_salt
from gatepost.identity.scram import derive_keys
from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.grant import parse_grant
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.lane import Lane
from gatepost.model.quota import Limits
from gatepost.model.secret import Secret
from gatepost.model.wrong import WrongValueError
from gatepost.store.account_protocols import UnreadAccount
from gatepost.store.protocols import Reading, Store, Transaction
from gatepost.store.rows import NewerRowError
from gatepost.wire.sasl.prep import prepare_name, saslprep

#: Characters. Machines get long ones anyway; what can be guessed in an afternoon is refused.
LEAST_PASSWORD: Final = 8
#: RFC 4616 §2: servers take up to 255 octets at least.
_MOST_NAME: Final = 255
_MOST_PASSWORD: Final = 1024


class AccountError(Exception):
    """Why a verb does nothing. `what` is wrong, `mend` says how to go on."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}: {mend}")
        self.what = what
        self.mend = mend


class BadNameError(AccountError):
    """The NAME cannot be one."""


class BadSenderError(AccountError):
    """What an account shall send as or write to is no grant, or there is none."""


class BadPasswordError(AccountError):
    """The password is too short, too long, or cannot be prepared."""


class AccountExistsError(AccountError):
    """There is such an account already."""


class NoSuchAccountError(AccountError):
    """There is no such account."""


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A main password to set: the password itself, or (`imported`) a hash from another system.

    `cram_md5` keeps it recoverable; `app_passwords_only` makes it good for nothing but knowing it.
    """

    credential_id: CredentialId
    password: Secret = Secret("")  # noqa: RUF009 - immutable
    imported: Secret | None = None
    cram_md5: bool = False
    app_passwords_only: bool = False
    #: How much a new account may send.
    limits: Limits = ()


@dataclass(frozen=True, slots=True)
class By:
    """When a verb is done, and by whom: "the operator's login name"."""

    now: datetime
    operator: str


@dataclass(frozen=True, slots=True)
class Grants:
    """What an account may send as, and write to, in an operator's words (`model.grant`), and how
    urgently.
    """

    senders: Sequence[str] = ()
    recipients: Sequence[str] = ()
    lane: Lane | None = None


async def add(
    store: Store,
    name: str,
    new: NewPassword,
    *,
    grants: Grants = Grants(),
    key: MasterKey,
    by: By,
) -> Account:
    """Add an account with its password, and return it.

    Without senders the name must be an address, and is the only one that it owns.

    Raises:
        BadNameError, BadSenderError, BadPasswordError, AccountExistsError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    prepared = account_name(name)
    account = Account(
        prepared,
        canonical_senders(prepared, grants.senders),
        created_at=by.now,
        recipients=checked_grants(grants.recipients),
        app_passwords_only=new.app_passwords_only,
        limits=new.limits,
        lane=grants.lane,
    )
    account = with_salt(account, key)
    credential = password_credential(account, new, key, by.now)

    def job(transaction: Transaction) -> None:
        if transaction.account(prepared) is not None:
            msg = f'there is an account "{prepared}" already'
            raise AccountExistsError(
                msg, f'set its password with "gatepost account password {prepared}"'
            )
        transaction.put_account(account)
        transaction.put_credential(credential)
        facts: dict[str, Fact] = {"senders": " ".join(account.senders)}
        if account.recipients:
            facts["recipients"] = " ".join(account.recipients)
        if account.lane:
            facts["lane"] = account.lane.value
        transaction.add_events([_event(EventKind.ACCOUNT_ADDED, prepared, by, facts)])

    await store.write(job)
    return account


async def listing(store: Store) -> list[Account | UnreadAccount]:
    """Return all accounts by name, those that only a newer Gatepost can read among them.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """

    def query(reading: Reading) -> list[Account | UnreadAccount]:
        found: list[Account | UnreadAccount] = [*reading.accounts(), *reading.unread_accounts()]
        return sorted(found, key=lambda each: each.name)

    return await store.read(query)


async def suspend(store: Store, name: str, *, by: By) -> Account:
    """Let an account log in and send no more, until it is resumed. Its waiting mail goes on.

    Raises:
        NoSuchAccountError: there is none.
        StoreUnavailableError: nothing was written.

    """
    return await _set_state(store, name, AccountState.SUSPENDED, by)


async def resume(store: Store, name: str, *, by: By) -> Account:
    """Let a suspended account log in and send again.

    Raises:
        NoSuchAccountError: there is none.
        StoreUnavailableError: nothing was written.

    """
    return await _set_state(store, name, AccountState.ACTIVE, by)


async def remove(store: Store, name: str, *, by: By) -> AccountName:
    """Remove an account and its credentials, also one that only a newer Gatepost can read. Its
    waiting mail goes on.

    Raises:
        NoSuchAccountError: there is none.
        StoreUnavailableError: nothing was written.

    """

    def job(transaction: Transaction) -> AccountName:
        try:
            gone = existing(transaction, name).name
        except NewerRowError:
            gone = prepared_name(name)
        transaction.remove_account(gone)
        transaction.add_events([_event(EventKind.ACCOUNT_REMOVED, gone, by, {})])
        return gone

    return await store.write(job)


def account_name(text: str) -> AccountName:
    """Return NAME as it is kept: SASLprep'd and case-folded (decision 15).

    Raises:
        BadNameError: it cannot be one.

    """
    mend = 'write one such as "app@example.com"'
    try:
        prepared = prepare_name(text.strip(), stored=True)
    except ValueError as error:
        msg = f"this cannot be an account's name ({error})"
        raise BadNameError(msg, mend) from error
    if len(prepared.encode()) > _MOST_NAME:
        msg = f"the name is longer than {_MOST_NAME} octets"
        raise BadNameError(msg, mend)
    if any(c.isspace() for c in prepared):
        msg = f'"{prepared}" has a space in it'
        raise BadNameError(msg, mend)
    return AccountName(prepared)


def canonical_senders(name: AccountName, senders: Sequence[str]) -> tuple[str, ...]:
    """Return what an account may send as, as it keeps it.

    Raises:
        BadSenderError: one of them is no grant, or none is given and the name is no address.

    """
    if senders:
        return checked_grants(senders)
    local_part, at, _ = name.rpartition("@")
    if not at or not local_part or "*" in name:  # a name alone grants no more than an address
        msg = f'"{name}" is no address, so that it owns none'
        raise BadSenderError(msg, "say which with --sender app@example.com or @example.com")
    return checked_grants((name,))


def prepare_password(password: Secret) -> str:
    """Return a new password prepared for hashing (RFC 4616 §2).

    Raises:
        BadPasswordError: too short, too long, or with characters that cannot be.

    """
    try:
        prepared = saslprep(password.reveal(), stored=True)
    except ValueError as error:
        msg = f"the password cannot be used ({error})"
        raise BadPasswordError(msg, "choose another; letters, digits and signs always work") from (
            error
        )
    if len(prepared) < LEAST_PASSWORD:
        msg = "the password is too short"
        raise BadPasswordError(msg, f"give at least {LEAST_PASSWORD} characters")
    if len(prepared.encode()) > _MOST_PASSWORD:
        msg = "the password is too long"
        raise BadPasswordError(msg, f"give at most {_MOST_PASSWORD} octets")
    return prepared


async def _set_state(store: Store, name: str, state: AccountState, by: By) -> Account:
    def job(transaction: Transaction) -> Account:
        account = existing(transaction, name)
        if account.state is state:
            return account
        fresh = replace(account, state=state)
        transaction.put_account(fresh)
        transaction.add_events([changed(fresh, by, state.value)])
        return fresh

    return await store.write(job)


def prepared_name(name: str) -> AccountName:
    """Return the name that an operator gave as logins are prepared; as given where it cannot be."""
    try:
        return AccountName(prepare_name(name.strip()))
    except ValueError:
        return AccountName(name)


def existing(reading: Reading, name: str) -> Account:
    """Return an account by the name that an operator gave.

    Raises:
        NoSuchAccountError: there is none.
        NewerRowError: only a newer Gatepost can read it.

    """
    prepared = prepared_name(name)
    account = reading.account(prepared)
    if account is None:
        raise _no_such_account(prepared, (other.name for other in reading.accounts()))
    return account


def _no_such_account(name: str, others: Iterable[str]) -> NoSuchAccountError:
    near = get_close_matches(name, list(others), n=1)
    mend = f'did you mean "{near[0]}"?' if near else '"gatepost account list" shows all'
    return NoSuchAccountError(f'there is no account "{name}"', mend)


def checked_grants(texts: Sequence[str]) -> tuple[str, ...]:
    """Return grants as accounts keep them, each once. Raises BadSenderError."""
    try:
        return tuple(dict.fromkeys(map(parse_grant, texts)))
    except WrongValueError as error:
        first = error.wrongs[0]
        raise BadSenderError(first.what, first.mend) from None


def password_credential(
    account: Account, new: NewPassword, key: MasterKey, at: datetime
) -> Credential:
    """Return a main password as it is kept: its hash, SCRAM keys under the account's salt, and
    sealed for CRAM-MD5 if that is wanted; an imported hash just as it is. Takes some 0.2 s.

    Raises:
        BadPasswordError: the password, or the imported hash, cannot be one.

    """
    made = Credential(
        new.credential_id, account.name, CredentialKind.PASSWORD, Secret(""), created_at=at
    )
    if new.imported is not None:
        try:
            return replace(made, verifier=read_hash(new.imported.reveal()))
        except ValueError as problem:
            raise BadPasswordError(
                f"{account.name}: {problem}",
                "give one hash, as the other system kept it; a password by --password-stdin",
            ) from (problem)
    prepared = prepare_password(new.password)
    return replace(
        made,
        verifier=hash_password(prepared),
        scram=derive_keys(prepared, account.salt, account.iterations),
        recoverable=key.seal(prepared, context_of(account.name)) if new.cram_md5 else None,
    )


def changed(account: Account, by: By, change: str) -> Event:
    """Return the event of a change."""
    return _event(EventKind.ACCOUNT_CHANGED, account.name, by, {"change": change})


def _event(kind: EventKind, account: AccountName, by: By, facts: dict[str, Fact]) -> Event:
    return Event(kind, by.now, account=account, facts={**facts, "by": by.operator})
