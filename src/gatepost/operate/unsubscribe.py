"""Somebody wants no more of a stream: suppress them, once."""

from datetime import datetime
from typing import Final

from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.reception.unsubscribe import Subscriber
from gatepost.returns.suppression import added
from gatepost.store.protocols import Reading, Store, Transaction

_BY: Final = "the recipient, by one click"


async def is_unsubscribed(store: Store, subscriber: Subscriber) -> bool:
    """Tell whether there is nothing left to do.

    Raises:
        StoreUnavailableError: there is no telling.

    """

    def look(reading: Reading) -> bool:
        found = reading.suppressions_of((subscriber.address,), subscriber.account)
        wanted = (subscriber.account, subscriber.stream)
        return any((each.account, each.stream) == wanted for each in found)

    return await store.read(look)


async def unsubscribe(store: Store, subscriber: Subscriber, at: datetime) -> None:
    """Send somebody no more of a stream. Whether its account still is there does not matter: one
    that comes back under this name must know.

    Raises:
        StoreUnavailableError: nothing was written.

    """
    suppression = Suppression(
        subscriber.address,
        SuppressionClass.UNSUBSCRIBED,
        at,
        subscriber.account,
        subscriber.stream,
    )

    def job(transaction: Transaction) -> None:
        if transaction.add_suppressions((suppression,), replace=False):
            transaction.add_events([added(suppression, at, _BY)])

    await store.write(job)
