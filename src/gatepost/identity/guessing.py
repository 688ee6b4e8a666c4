"""The rule by which guessing is slowed (decision 20); `throttle` keeps the records.

So many failures in 10 minutes lock a subject for 1 minute, and each further lock lasts twice as
long, up to 1 hour. Locks end by themselves. A good login does not wipe failures out: whoever has
one account could else guess at the others for ever.
"""

from dataclasses import dataclass, replace
from typing import Final

#: All in seconds.
WINDOW: Final = 600.0
FIRST_LOCK: Final = 60.0
LONGEST_LOCK: Final = 3600.0
#: So long after a lock has ended the next one begins with `FIRST_LOCK` again.
FORGIVEN_AFTER: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Record:
    """What one subject did: when it failed within the window, how often it was locked, until when.

    Times are seconds on whatever clock the caller uses, always the same one.
    """

    failures: tuple[float, ...] = ()
    locks: int = 0
    locked_until: float = 0.0


def is_locked(record: Record, now: float) -> bool:
    """Tell whether a subject has to wait."""
    return now < record.locked_until


def after_failure(record: Record, now: float, *, limit: int) -> Record:
    """Return the record with one more failure; the `limit`-th within the window locks.

    A failure during a lock (of a session that was already open) changes nothing.
    """
    if is_locked(record, now):
        return record
    if record.locks and now >= record.locked_until + FORGIVEN_AFTER:
        record = replace(record, locks=0)
    failures = (*(at for at in record.failures if at > now - WINDOW), now)
    if len(failures) < limit:
        return replace(record, failures=failures)
    lasting = min(FIRST_LOCK * 2.0 ** min(record.locks, 10), LONGEST_LOCK)
    return Record((), record.locks + 1, now + lasting)
