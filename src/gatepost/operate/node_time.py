"""The time by which commands change the queue: that of the node that works on it."""

from datetime import datetime, timedelta

from gatepost.queue.presence import heard
from gatepost.store.protocols import Store


async def node_time(store: Store, machine: datetime, *, is_shared: bool) -> datetime:
    """Return the time to give to what changes now.

    A node does not follow a clock that was set far away; who goes by that clock makes mail wait for
    days when it is set back. A store that nodes share puts its own time in place of the machine's.

    Args:
        store: where the workers that live say how far their time is from the machine's.
        machine: what this machine's clock says.
        is_shared: nodes may share the store.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    if is_shared:
        return machine
    living = heard(await store.read(lambda reading: reading.presences()), machine)
    return machine + max((one.ahead for one in living), key=abs, default=timedelta(0))
