"""Say from which pool of source addresses the mail of an account leaves.

Mail that was accepted before keeps its pool; sessions that are open feel it with their next message.
"""

from dataclasses import replace

from gatepost.model.account import Account
from gatepost.model.pool_name import pool as checked
from gatepost.model.source import DEFAULT
from gatepost.operate.accounts import By, changed, existing
from gatepost.queue.presence import heard
from gatepost.store.protocols import Reading, Store, Transaction


def known_pools(reading: Reading) -> frozenset[str]:
    """Return the pools of which nodes that run have addresses, and the default one."""
    alive = heard(reading.presences(), reading.time())
    named = (pool for one in alive for each in one.sources for pool in each.source.pools)
    return frozenset((DEFAULT, *named))


async def set_pool(store: Store, name: str, pool: str | None, by: By) -> Account:
    """Give an account its pool, None for none.

    Raises:
        NoSuchAccountError: nothing was written.
        WrongValueError: no pool can be called so.
        StoreUnavailableError: nothing was written.

    """
    wanted = None if pool is None else checked(pool)

    def job(transaction: Transaction) -> Account:
        account = replace(existing(transaction, name), pool=wanted)
        transaction.put_account(account)
        transaction.add_events([changed(account, by, f"pool {wanted or 'none'}")])
        return account

    return await store.write(job)
