"""Deliveries given back unattempted: due again, for whoever serves them, with the reason."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from gatepost.store.leases import Held
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction

_log = logging.getLogger(__name__)

#: So long between tries to give back while the store is away, in seconds.
_STORE_PAUSE = 1.0


async def give_back(  # noqa: PLR0913 - what, why and until when
    store: Store,
    held: Sequence[Held],
    at: datetime,
    reason: str,
    *,
    unmade: Sequence[Held],
    lasting: float,
    stopping: asyncio.Event,
) -> bool:
    """Give leases back, and take back the attempts that were counted for `unmade` and not made.

    While the store is away it is tried again for as long as they last (seconds), or until a worker
    that stops has tried once. False: the leases end by themselves.
    """

    def job(transaction: Transaction) -> None:
        if unmade:
            transaction.withdraw_attempts(unmade)
        transaction.give_back(held, at, reason)

    loop = asyncio.get_running_loop()
    ends = loop.time() + lasting
    while True:
        try:
            await store.write(job)
        except StoreUnavailableError as trouble:
            if stopping.is_set() or loop.time() > ends:
                _log.warning("%d deliveries wait for their leases to end: %s", len(held), trouble)
                return False
        else:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(_STORE_PAUSE):
                await stopping.wait()
