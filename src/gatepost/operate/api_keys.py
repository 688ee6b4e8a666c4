"""Add, list, check and revoke keys of the HTTP API.

A key reads gp_ID_SECRET: the id finds it, the secret (160 random bits) proves it; only a hash of the
secret is kept.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.identity.app_passwords import hash_app_password, new_app_password, verify_app_password
from gatepost.model.api_key import ApiKey, Scope
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.operate.accounts import AccountError, By, existing
from gatepost.store.protocols import Reading, Store, Transaction

_PREFIX: Final = "gp"
_LONGEST: Final = 100


class BadApiKeyError(AccountError):
    """A key cannot be as it was asked for."""


class NoSuchApiKeyError(AccountError):
    """There is no such key."""


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """What is asked for."""

    scopes: Sequence[Scope]
    account: str | None = None
    label: str = ""
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class MadeApiKey:
    """A new key and its text, which is shown once."""

    key: ApiKey
    text: Secret


async def add(store: Store, new: NewApiKey, *, by: By) -> MadeApiKey:
    """Make a key.

    Raises:
        BadApiKeyError, NoSuchAccountError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    scopes = tuple(scope for scope in Scope if scope in new.scopes)
    if not scopes:
        raise BadApiKeyError("the key would be good for nothing", "give it a --scope")
    if Scope.SEND in scopes and new.account is None:
        msg = "a key that sends needs an account to send as"
        raise BadApiKeyError(msg, "name it with --account")
    key_id, secret = secrets.token_hex(6), new_app_password()
    verifier = hash_app_password(secret)

    def job(transaction: Transaction) -> ApiKey:
        account = None if new.account is None else existing(transaction, new.account).name
        key = ApiKey(
            id=key_id,
            verifier=verifier,
            scopes=scopes,
            created_at=by.now,
            account=account,
            label=new.label[:_LONGEST],
            expires_at=None if new.lasts is None else by.now + new.lasts,
        )
        transaction.put_api_key(key)
        transaction.add_events([_event(EventKind.API_KEY_ADDED, key, by)])
        return key

    key = await store.write(job)
    return MadeApiKey(key, Secret(f"{_PREFIX}_{key_id}_{secret.reveal()}"))


async def listing(store: Store) -> list[ApiKey]:
    """Return all keys, oldest first.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: reading.api_keys())


async def revoke(store: Store, which: str, *, by: By) -> ApiKey:
    """Remove a key by its id or its label.

    Raises:
        NoSuchApiKeyError: there is none, or several have that label.
        NewerRowError: only a newer Gatepost can use it.
        StoreUnavailableError: nothing was written.

    """

    def job(transaction: Transaction) -> ApiKey:
        found = [key for key in transaction.api_keys() if which in {key.id, key.label}]
        if not found:
            transaction.api_key(which)  # it may be there, and only a newer program can use it
        if len(found) != 1:
            msg = f'"{which}" names {"no key" if not found else f"{len(found)} keys"}'
            raise NoSuchApiKeyError(msg, '"gatepost api-key list" shows all; give the id')
        transaction.remove_api_key(found[0].id)
        transaction.add_events([_event(EventKind.API_KEY_REVOKED, found[0], by)])
        return found[0]

    return await store.write(job)


def find(reading: Reading, text: str, now: datetime) -> ApiKey | None:
    """Return the key that a text proves; None when it proves none."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not key_id or not secret or not text.isascii():
        return None
    key = reading.api_key(key_id)
    if key is None or not verify_app_password(key.verifier, secret):
        return None
    return key if key.is_good(now) else None


def api_key_json(key: ApiKey) -> dict[str, Any]:
    """Return a key as plain values, never its secret."""
    return {
        "id": key.id,
        "label": key.label,
        "scopes": [scope.value for scope in key.scopes],
        "account": key.account,
        "created_at": time_text(key.created_at),
        "expires_at": time_text(key.expires_at) if key.expires_at else None,
        "last_used_at": time_text(key.last_used_at) if key.last_used_at else None,
    }


def _event(kind: EventKind, key: ApiKey, by: By) -> Event:
    facts = {"key": key.id, "label": key.label, "scopes": " ".join(key.scopes), "by": by.operator}
    account: AccountName | None = key.account
    return Event(kind, by.now, account=account, facts=facts)
