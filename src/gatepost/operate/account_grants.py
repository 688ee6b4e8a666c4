"""Let an account send as, or write to, more or less than before.

Sessions that are open feel it with their next message.
"""

from collections.abc import Callable
from dataclasses import replace

from gatepost.model.account import Account
from gatepost.operate.accounts import (
    AccountError,
    By,
    Grants,
    changed,
    checked_grants,
    existing,
)
from gatepost.store.protocols import Store, Transaction


class NoSuchGrantError(AccountError):
    """The account has no such grant, so that it cannot lose it."""


async def allow(store: Store, name: str, grants: Grants, *, by: By) -> Account:
    """Add grants. The first recipient binds an account that might write to anybody.

    Raises:
        NoSuchAccountError, BadSenderError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    senders, recipients = checked_grants(grants.senders), checked_grants(grants.recipients)

    def change(account: Account) -> Account:
        return replace(
            account,
            senders=tuple(dict.fromkeys((*account.senders, *senders))),
            recipients=tuple(dict.fromkeys((*account.recipients, *recipients))),
        )

    return await _change(store, name, change, by)


async def forbid(store: Store, name: str, grants: Grants, *, by: By) -> Account:
    """Take grants away. With the last recipient gone the account may write to anybody again; with
    the last sender gone, it sends as nobody.

    Raises:
        NoSuchAccountError, BadSenderError, NoSuchGrantError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    senders, recipients = checked_grants(grants.senders), checked_grants(grants.recipients)

    def change(account: Account) -> Account:
        held = (*account.senders, *account.recipients)
        for grant in (*senders, *recipients):
            if grant not in held:
                msg = f'{account.name} has no grant "{grant}"'
                raise NoSuchGrantError(msg, f"it has: {', '.join(held) or 'none'}")
        return replace(
            account,
            senders=tuple(g for g in account.senders if g not in senders),
            recipients=tuple(g for g in account.recipients if g not in recipients),
        )

    return await _change(store, name, change, by)


async def _change(store: Store, name: str, change: Callable[[Account], Account], by: By) -> Account:
    def job(transaction: Transaction) -> Account:
        account = existing(transaction, name)
        fresh = change(account)
        if fresh != account:
            transaction.put_account(fresh)
            transaction.add_events([changed(fresh, by, _words(account, fresh))])
        return fresh

    return await store.write(job)


def _words(before: Account, after: Account) -> str:
    """Return what changed: "may send as +@example.com; may write to -bob@y.example"."""
    parts = []
    for what, old, new in (
        ("may send as", before.senders, after.senders),
        ("may write to", before.recipients, after.recipients),
    ):
        gone, come = (f"-{g}" for g in old if g not in new), (f"+{g}" for g in new if g not in old)
        if words := " ".join((*gone, *come)):
            parts.append(f"{what} {words}")
    return "; ".join(parts)
