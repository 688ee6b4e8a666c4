"""What an operator asks of the queue, and what is shown of it."""

from dataclasses import dataclass

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.ids import AccountName, DeliveryId
from gatepost.model.submission import Submission


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which deliveries an operator means; None does not restrict. `id` is a submission's or a
    delivery's, in full or its beginning (at least 8 digits); `reason` why it waits, in its words; `pool`
    that of one that is not finished ("": none)."""

    id: str | None = None
    account: AccountName | None = None
    destination: str | None = None
    recipient: str | None = None
    states: tuple[DeliveryState, ...] | None = None
    reason: str | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of a queue listing."""

    delivery: Delivery
    submission: Submission


@dataclass(frozen=True, slots=True)
class Matching:
    """How many deliveries match, and the id of the last one; None where none does. `is_of_one`: where an
    id was asked for, they are of one message.
    """

    count: int
    last: DeliveryId | None
    is_of_one: bool = True


@dataclass(frozen=True, slots=True)
class Stretch:
    """Matching deliveries of a part of the queue, in order of their ids; the part ends with `last`,
    None where it ends with the queue, or with what was asked for.
    """

    rows: list[QueueRow]
    last: DeliveryId | None
