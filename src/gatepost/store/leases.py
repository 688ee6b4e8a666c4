"""What a worker shows when it takes deliveries, and how it names those that it was handed."""

from datetime import datetime
from typing import Final

from gatepost.model.ids import DeliveryId, WorkerId
from gatepost.wire.values import value

#: What a worker serves that has no source addresses.
ANY_NODE: Final = ("",)


@value(frozen=True, slots=True)
class Lease:
    """What a worker shows when it takes deliveries: who, until when, and of which pools."""

    worker: WorkerId
    until: datetime
    pools: tuple[str, ...] = ANY_NODE


@value(frozen=True, slots=True)
class Held:
    """A leased delivery named by its id and the fence it was handed out with."""

    id: DeliveryId
    fence: int
