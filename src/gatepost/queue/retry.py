"""When to try again, and when to give up (RFC 5321 §4.5.4.1)."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from gatepost.model.lane import Lane

if TYPE_CHECKING:
    from gatepost.model.settings import LaneSettings, RetrySettings

#: What is of no use in a quarter of an hour is tried often: 1, 2, 4, 4 minutes. Greylisting mostly
#: lasts 1 to 5.
_OTP_FIRST: Final = timedelta(minutes=1)
_OTP_LONGEST: Final = timedelta(minutes=4)
#: Doubling stops here, long after any `longest`: 2 to this power still fits a timedelta.
_MOST_DOUBLINGS: Final = 16
#: So long before the time is over what would come too late is tried for the last time.
_LAST: Final = timedelta(seconds=15)


def pace(lane: Lane, settings: "RetrySettings") -> "RetrySettings":
    """Return the delays of a lane: those of `[retry]`, shorter for one-time passwords."""
    if lane is not Lane.OTP:
        return settings
    first = min(settings.first, _OTP_FIRST)
    longest = max(first, min(settings.longest, _OTP_LONGEST))
    return settings.model_copy(update={"first": first, "longest": longest})


def time_to_try(named: Lane | None, give_up: timedelta, lanes: "LaneSettings") -> timedelta:
    """Return how long after its release a message is given up: never later than `[retry] give_up`
    says, which alone holds for bulk and where nobody named a lane (None).
    """
    if named is Lane.OTP:
        return min(lanes.otp, give_up)
    return min(lanes.transactional, give_up) if named is Lane.TRANSACTIONAL else give_up


def next_attempt(
    attempts: int, expires_at: datetime, now: datetime, settings: "RetrySettings", spread: float
) -> datetime | None:
    """Return when to try again, or None when it is time to give up.

    RFC 5321 §4.5.4.1: wait at least 30 minutes (SHOULD), give up after 4-5 days. The defaults
    wait less three times (5, 10, 20 minutes), because greylisting is over sooner; then they keep
    it. The last attempt is made when the time is nearly over, however long the delays have grown.

    Args:
        attempts: how many were made, the failed one included.
        expires_at: when the delivery's time is over.
        now: UTC.
        settings: delays double from `first` up to `longest`.
        spread: 0.0-1.0 from Entropy; moves the answer by at most a twentieth either way, so that
            a burst does not come back as a burst.

    """
    doublings = min(max(attempts - 1, 0), _MOST_DOUBLINGS)
    delay = min(settings.first * 2**doublings, settings.longest)
    at: datetime = now + delay * (0.95 + spread / 10)
    if at < expires_at:
        return at
    last: datetime = expires_at - min(settings.first, _LAST)
    return last if last - now >= settings.first / 2 else None
