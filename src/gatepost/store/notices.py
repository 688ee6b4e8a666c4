"""Reports that are owed to senders (decision 11), as every store keeps them."""

from typing import TYPE_CHECKING, Protocol

from gatepost.model.ids import DeliveryId

if TYPE_CHECKING:
    from gatepost.store.protocols import DueNotice, NoticeKind


class ReadsNotices(Protocol):
    """What can be asked."""

    def notices_due(self, *, limit: int, after: "DueNotice | None" = None) -> "list[DueNotice]":
        """Return reports that are owed to senders, in a lasting order; `after` pages on."""
        ...


class StrikesNotices(Protocol):
    """What can be changed; owing one is a part of `settle`."""

    def clear_notice(self, delivery_id: DeliveryId, kind: "NoticeKind") -> bool:
        """Strike an owed report: it has been accepted, or needs none. False: it is not owed."""
        ...
