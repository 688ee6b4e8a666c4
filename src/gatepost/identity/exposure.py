"""A password that came in clear is known to whoever listened: flag the account (decision 16)."""

from dataclasses import replace
from datetime import datetime

from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName
from gatepost.store.protocols import Store, Transaction
from gatepost.wire.sasl.prep import prepare_name


async def flag_exposed(store: Store, name: str, client_address: str, at: datetime) -> None:
    """Note that somebody sent this name with a password before TLS; unknown names and accounts
    that are flagged already change nothing. The password itself was not looked at.

    Raises:
        StoreUnavailableError: nothing was noted.

    """
    try:
        account_name = AccountName(prepare_name(name))
    except ValueError:
        return
    account = await store.read(lambda reading: reading.account(account_name))
    if account is None or account.exposed_at is not None:
        return

    def job(transaction: Transaction) -> None:
        current = transaction.account(account_name)
        if current is None or current.exposed_at is not None:
            return
        transaction.put_account(replace(current, exposed_at=at))
        facts = {"client": client_address, "reason": "a password was sent before TLS"}
        transaction.add_events(
            [Event(EventKind.ACCOUNT_EXPOSED, at, account=account_name, facts=facts)]
        )

    await store.write(job)
