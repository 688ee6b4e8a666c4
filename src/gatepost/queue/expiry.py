"""When a delivery's time is over, and when its sender hears that it takes long."""

from datetime import datetime

from gatepost.model.delivery import Delivery
from gatepost.model.settings import RetrySettings
from gatepost.model.submission import Submission


def is_expired(delivery: Delivery, now: datetime) -> bool:
    """Tell whether to give up before another attempt.

    What was never tried gets its one try, however late: we may have been switched off.
    """
    return delivery.attempts > 0 and delivery.expires_at <= now


def is_delay_notice_due(
    delivery: Delivery, submission: Submission, now: datetime, settings: RetrySettings
) -> bool:
    """Tell whether the sender is to be told now that the message still waits.

    Once for each delivery, `[retry] warn` after the message came in; never for the null
    reverse-path (RFC 5321 §4.5.5).
    """
    if delivery.warned or not submission.reverse_path:
        return False
    return now - submission.received_at >= settings.warn
