"""One delivery for each recipient of a message, as it begins."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.ids import DeliveryId
from gatepost.model.lane import Lane
from gatepost.model.submission import Submission
from gatepost.net.clock import new_identifier
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.notification import NO_WISHES, RecipientWishes

#: Why a message waits that is to go out later.
_HELD_BACK: Final = "its sender asked for that"


def deliveries_for(
    submission: Submission,
    forward_paths: Sequence[Mailbox],
    lane: Lane,
    wishes: Mapping[str, RecipientWishes],
    *,
    placement: Callable[[str], DeliveryState],
    lasting: timedelta,
) -> tuple[Delivery, ...]:
    """Return one Delivery per distinct recipient.

    Args:
        submission: the message; its time for trying begins with its release.
        forward_paths: its recipients.
        lane: see `handling`.
        wishes: what was asked about recipients, by forward-path.
        placement: in which state a delivery to a destination begins.
        lasting: how long it is tried.

    """
    at = submission.release_at or submission.received_at
    expires_at = at + lasting
    reason = _HELD_BACK if submission.release_at else ""
    distinct = {mailbox.text: mailbox for mailbox in forward_paths}
    return tuple(
        Delivery(
            id=DeliveryId(new_identifier()),
            submission_id=submission.id,
            forward_path=text,
            destination=mailbox.domain,
            next_attempt_at=at,
            expires_at=expires_at,
            state=placement(mailbox.domain),
            reason=reason,
            lane=lane,
            wishes=wishes.get(text, NO_WISHES),
            account=submission.account or "",
        )
        for text, mailbox in distinct.items()
    )
