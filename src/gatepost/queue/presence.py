"""Who is alive: how long a worker may be silent, and who may say that another one is dead.

A worker that was silent for `SILENT` may be anywhere: dead, paused, cut off. Neighbours take over
what it had leased, so it must end by itself a little earlier, by its own count (`HEARD`): then no
final dot of it can follow theirs. All times are the store's, but for that count.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from gatepost.store.presences import Beat, Presence

#: Seconds between two announcements.
EVERY: Final = 5.0
#: Silent for so long, a worker is held for lost.
SILENT: Final = timedelta(seconds=15)
#: Seconds for which a worker may act upon its leases, from the moment it last began to announce
#: itself successfully: a second less than neighbours wait, for clocks that run unequally fast.
HEARD: Final = SILENT.total_seconds() - 1.0
#: Longer between two announcements, and the store or the worker stood still.
_GAP: Final = timedelta(seconds=2 * EVERY)


def heard(presences: Iterable[Presence], now: datetime) -> list[Presence]:
    """Return the workers that are alive; `now` is the store's time."""
    return [one for one in presences if not one.lost and now - one.heard_at < SILENT]


def steady_since(former: datetime | None, beat: Beat) -> datetime:
    """Return since when a worker has been heard without a gap, `former` being the last answer.

    A clock that was set, either way, is a gap as well.
    """
    if former is None or beat.before is None or beat.was_lost:
        return beat.now
    return former if timedelta(0) <= beat.now - beat.before <= _GAP else beat.now


def may_bury(steady: datetime, beat: Beat) -> bool:
    """Tell whether who was heard without a gap since `steady` may hold others for lost.

    When the store was away, nobody was heard: who comes back first must not bury the rest.
    """
    return beat.now - steady >= SILENT
