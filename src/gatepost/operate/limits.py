"""Set how much an account, or one of its credentials, may send; and tell how much it has sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.model.account import Account
from gatepost.model.api_key import ApiKey
from gatepost.model.quota import (
    Limit,
    Limits,
    Subject,
    Unit,
    Window,
    account_subject,
)
from gatepost.model.spender import Spender, credential_of, subject_of, words_for
from gatepost.operate.accounts import AccountError, By, changed, existing
from gatepost.operate.credentials import named_credential
from gatepost.reception.quota import Use, effective, uses
from gatepost.store.protocols import Reading, Store, Transaction

#: More than anybody means; a tally's bucket holds four times as many.
_MOST: Final = 10**9
_NONE: Final = ("none", "unlimited")
_DEFAULT: Final = "default"


class BadLimitError(AccountError):
    """The number of a limit is none."""


@dataclass(frozen=True, slots=True)
class Change:
    """A limit to set (None: none, whatever the settings say), or to drop: as the settings say."""

    unit: Unit
    window: Window
    most: int | None = None
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class Limited:
    """How an account (`spender` None), or one of its credentials or API keys, stands to one limit."""

    spender: Spender | None
    use: Use


def change_of(unit: Unit, window: Window, text: str) -> Change:
    """Read what an operator wrote: a number, "none" or "default".

    Raises:
        BadLimitError: it is none of them.

    """
    word = text.strip().lower()
    if word in _NONE:
        return Change(unit, window)
    if word == _DEFAULT:
        return Change(unit, window, is_dropped=True)
    if word.isascii() and word.isdigit() and int(word) <= _MOST:
        return Change(unit, window, int(word))
    msg = f'"{text}" is no limit of {unit.value} in {window.words}'
    raise BadLimitError(msg, 'write a number, "none", or "default" for what the settings say')


def with_changes(limits: Limits, changes: Iterable[Change]) -> Limits:
    """Return limits as they are after changes, in the order of units and windows."""
    chosen = {(limit.unit, limit.window): limit for limit in limits}
    for change in changes:
        key = (change.unit, change.window)
        if change.is_dropped:
            chosen.pop(key, None)
        else:
            chosen[key] = Limit(*key, change.most)
    return tuple(chosen[key] for u in Unit for w in Window if (key := (u, w)) in chosen)


async def set_limits(
    store: Store, name: str, changes: Sequence[Change], *, which: str | None = None, by: By
) -> Account:
    """Change the limits of an account, or of the credential or API key `which` names (label or id).

    Raises:
        NoSuchAccountError, NoSuchCredentialError: nothing was written.
        StoreUnavailableError: nothing was written.

    """

    def job(transaction: Transaction) -> Account:
        account = existing(transaction, name)
        if which is None:
            account = replace(account, limits=with_changes(account.limits, changes))
            transaction.put_account(account)
            what = "limits"
        else:
            found = _put_limits(transaction, account, which, changes)
            what = f"limits of {words_for(found)}"
        words = ", ".join(map(_words, changes))
        transaction.add_events([changed(account, by, f"{what}: {words}")])
        return account

    return await store.write(job)


def _put_limits(
    transaction: Transaction, account: Account, which: str, changes: Sequence[Change]
) -> Spender:
    if key := _named_key(transaction, account, which):
        key = replace(key, limits=with_changes(key.limits, changes))
        transaction.put_api_key(key)
        return key
    found = named_credential(transaction, account.name, which)
    found = replace(found, limits=with_changes(found.limits, changes))
    transaction.put_credential(found)
    return found


def _named_key(reading: Reading, account: Account, which: str) -> ApiKey | None:
    """Return the account's API key of that id, or of that label where no other key and no
    credential has it.
    """
    mine = [key for key in reading.api_keys() if key.account == account.name]
    if named := [key for key in mine if key.id == which]:
        return named[0]
    labels = [credential.label for credential in reading.credentials(account.name)]
    named = [key for key in mine if key.label == which and which not in labels]
    return named[0] if len(named) == 1 and which else None


def limited(
    reading: Reading,
    account: Account,
    spenders: Iterable[Spender],
    defaults: Limits,
    now: datetime,
) -> tuple[Limited, ...]:
    """Return how an account and its credentials and keys stand to each of their limits now."""
    limits = effective(defaults, account.limits)
    found = [
        Limited(None, use) for use in _uses(reading, account_subject(account.name), limits, now)
    ]
    for spender in spenders:
        limits = effective((), spender.limits)
        found += [Limited(spender, use) for use in _uses(reading, subject_of(spender), limits, now)]
    return tuple(found)


def limited_json(each: Limited) -> dict[str, Any]:
    """Return one limit as plain values, the shape of `--json`."""
    use, spender = each.use, each.spender
    return {
        "credential": credential_of(spender) if spender else None,
        "label": words_for(spender) if spender else None,
        "unit": use.unit.value,
        "window": use.window.value,
        "used": use.used,
        "limit": use.most,
        "opens_at": time_text(use.opens_at) if use.opens_at else None,
    }


def _uses(reading: Reading, subject: Subject, limits: Limits, now: datetime) -> list[Use]:
    nothing: Mapping[Unit, int] = {}
    if not limits:
        return []
    return uses(reading.tally(subject), limits, now.timestamp(), held=nothing)


def _words(change: Change) -> str:
    most = "default" if change.is_dropped else "none" if change.most is None else str(change.most)
    return f"{change.unit.value} in {change.window.words} {most}"
