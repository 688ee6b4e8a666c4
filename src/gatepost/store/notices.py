"""Reports that are owed to senders (decision 11), as every store keeps them."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from gatepost.model.delivery import Delivery
from gatepost.model.ids import DeliveryId
from gatepost.model.submission import Submission


class NoticeKind(Enum):
    """What a sender is told of a delivery: that it failed, is late, or is done."""

    RETURN = auto()
    WARNING = auto()
    SUCCESS = auto()


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A report that is owed to a sender."""

    delivery: Delivery
    submission: Submission
    kind: NoticeKind


class ReadsNotices(Protocol):
    """What can be asked."""

    def notices_due(self, *, limit: int, after: DueNotice | None = None) -> list[DueNotice]:
        """Return reports that are owed to senders, in a lasting order; `after` pages on."""
        ...


class StrikesNotices(Protocol):
    """What can be changed; owing one is a part of `settle`."""

    def clear_notice(self, delivery_id: DeliveryId, kind: NoticeKind) -> bool:
        """Strike an owed report: it has been accepted, or needs none. False: it is not owed."""
        ...
