"""Say how urgent the mail of an account, or of one of its credentials, is.

Mail that was accepted before keeps its lane; sessions that are open feel it with their next
message.
"""

from dataclasses import replace

from gatepost.model.account import Account
from gatepost.model.lane import Lane
from gatepost.operate.accounts import By, changed, existing
from gatepost.operate.credentials import named_credential
from gatepost.store.protocols import Store, Transaction


async def set_lane(
    store: Store, name: str, lane: Lane | None, *, label: str | None = None, by: By
) -> Account:
    """Give an account its lane, None for none; with `label` the credential of that label (or id) alone.

    Raises:
        NoSuchAccountError, NoSuchCredentialError: nothing was written.
        StoreUnavailableError: nothing was written.

    """

    def job(transaction: Transaction) -> Account:
        account = existing(transaction, name)
        words = f"lane {lane.value if lane else 'none'}"
        if label is None:
            account = replace(account, lane=lane)
            transaction.put_account(account)
        else:
            credential = named_credential(transaction, account.name, label)
            transaction.put_credential(replace(credential, lane=lane))
            words = f"{words} for {label}"
        transaction.add_events([changed(account, by, words)])
        return account

    return await store.write(job)
