"""Look at what waits, a page at a time."""

from gatepost.model.ids import DeliveryId
from gatepost.operate.waiting import with_reasons
from gatepost.store.protocols import Reading, Store
from gatepost.store.queue_view import QueueFilter, QueueRow


async def listing(
    store: Store, which: QueueFilter, *, limit: int, after: DeliveryId | None = None
) -> list[QueueRow]:
    """Return matching deliveries, oldest first; `after` pages on.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """

    def ask(reading: Reading) -> list[QueueRow]:
        return with_reasons(reading, reading.deliveries(which, limit=limit, after=after))

    return await store.read(ask)
