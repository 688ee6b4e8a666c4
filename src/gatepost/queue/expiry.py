"""When a delivery's time is over, and when its sender hears that it takes long."""

from datetime import datetime
from typing import TYPE_CHECKING

from gatepost.model.delivery import Delivery
from gatepost.model.submission import Submission
from gatepost.wire.smtp.notification import Notify

if TYPE_CHECKING:
    from gatepost.model.settings import RetrySettings


def is_expired(delivery: Delivery, now: datetime) -> bool:
    """Tell whether to give up before another attempt.

    What was never tried gets its one try, however late: we may have been switched off.
    """
    return delivery.attempts > 0 and delivery.expires_at <= now


def is_delay_notice_due(
    delivery: Delivery, submission: Submission, now: datetime, settings: "RetrySettings"
) -> bool:
    """Tell whether the sender is to be told now that the message still waits.

    Once for each delivery, `[retry] warn` after the message came in, or was to be released; never
    for the null reverse-path (RFC 5321 §4.5.5), nor where the sender wants none (RFC 3461 §5.2.5).
    """
    if delivery.warned or not submission.reverse_path:
        return False
    if not wants(delivery.wishes.notify, Notify.DELAY):
        return False
    return now - (submission.release_at or submission.received_at) >= settings.warn


def wants(notify: Notify | None, what: Notify) -> bool:
    """Tell whether a sender wants to hear of a failure or a delay; who said nothing does
    (RFC 3461 §4.1).
    """
    return notify is None or what in notify
