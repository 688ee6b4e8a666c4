"""Set how much an account, or one of its credentials, may send; and tell how much it has sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.model.account import Account, Credential
from gatepost.model.quota import (
    Limit,
    Limits,
    Subject,
    Unit,
    Window,
    account_subject,
    credential_subject,
)
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
    """How an account (`credential` None), or one of its credentials, stands to one limit."""

    credential: Credential | None
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
    """Change the limits of an account, or of the credential `which` names (label or id).

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
            found = named_credential(transaction, account.name, which)
            limits = with_changes(found.limits, changes)
            transaction.put_credential(replace(found, limits=limits))
            what = f"limits of {found.label or found.kind.value}"
        words = ", ".join(map(_words, changes))
        transaction.add_events([changed(account, by, f"{what}: {words}")])
        return account

    return await store.write(job)


def limited(
    reading: Reading,
    account: Account,
    credentials: Iterable[Credential],
    defaults: Limits,
    now: datetime,
) -> tuple[Limited, ...]:
    """Return how an account and its credentials stand to each of their limits now."""
    limits = effective(defaults, account.limits)
    found = [
        Limited(None, use) for use in _uses(reading, account_subject(account.name), limits, now)
    ]
    for credential in credentials:
        limits = effective((), credential.limits)
        subject = credential_subject(credential.id)
        found += [Limited(credential, use) for use in _uses(reading, subject, limits, now)]
    return tuple(found)


def limited_json(each: Limited) -> dict[str, Any]:
    """Return one limit as plain values, the shape of `--json`."""
    use, credential = each.use, each.credential
    return {
        "credential": credential.id if credential else None,
        "label": (credential.label or credential.kind.value) if credential else None,
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
