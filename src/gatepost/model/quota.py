"""How much may be sent, and how much was: limits, and counts that slide with the time.

A window is counted in 60 buckets of equal width. What was sent leaves it when its bucket does:
between 59 and 60 sixtieths of the window after it was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

#: Whose limit it is: "account/NAME" or "credential/ID".
Subject = NewType("Subject", str)

#: Buckets of a window.
BUCKETS: Final = 60


class Unit(StrEnum):
    """What is counted."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"


class Window(StrEnum):
    """Over how long."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    @property
    def width(self) -> int:
        """Return the seconds of one bucket; a month is 30 days."""
        return _WIDTHS[self]

    @property
    def words(self) -> str:
        """Return "an hour"."""
        return "an hour" if self is Window.HOUR else f"a {self.value}"


_WIDTHS: Final[Mapping[Window, int]] = {
    Window.MINUTE: 1,
    Window.HOUR: 60,
    Window.DAY: 1440,
    Window.MONTH: 43_200,
}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many in a window; None: as many as they like, whatever the settings say."""

    unit: Unit
    window: Window
    most: int | None


#: At most one for each unit and window.
Limits = tuple[Limit, ...]

_NOTHING: Final = (0,) * BUCKETS


@dataclass(frozen=True, slots=True)
class Sliding:
    """Counts of the 60 buckets up to number `newest`, oldest first. A bucket's number is its time
    since the Unix epoch in widths.
    """

    newest: int = 0
    counts: tuple[int, ...] = _NOTHING

    def plus(self, bucket: int, count: int) -> "Sliding":
        """Count more in a bucket. One that is a little older than all of them counts with the
        oldest. One that is a whole window older begins anew: a clock was set back.
        """
        ahead = bucket - self.newest
        if ahead >= BUCKETS or ahead <= -2 * BUCKETS:
            return Sliding(bucket, (*_NOTHING[1:], count))
        if ahead > 0:
            counts = (*self.counts[ahead:], *_NOTHING[: ahead - 1], count)
            return Sliding(bucket, counts)
        place = max(BUCKETS - 1 + ahead, 0)
        changed = list(self.counts)
        changed[place] += count
        return Sliding(self.newest, tuple(changed))

    def used(self, bucket: int) -> int:
        """Return what counts while the time is in `bucket`. A clock that was set back a little
        leaves all counted.
        """
        gone = bucket - self.newest
        if gone <= 0:
            return sum(self.counts) if gone > -2 * BUCKETS else 0
        return sum(self.counts[gone:])

    def room_at(self, bucket: int, most: int) -> int:
        """Return the first bucket, from `bucket` on, in which less than `most` is used; `most`
        is 1 at least.
        """
        left = self.used(bucket)
        if left < most:
            return bucket
        oldest = self.newest - BUCKETS + 1
        gone = max(bucket - self.newest, 0)
        for number, count in enumerate(self.counts[gone:], oldest + gone):
            left -= count
            if left < most:
                return max(number + BUCKETS, bucket)
        return bucket


EMPTY: Final = Sliding()


@dataclass(frozen=True, slots=True)
class Tally:
    """What one subject has sent: a Sliding for each unit and window, in the order of `PLACES`,
    and the percentage of its limit of which each was warned last (0: none).
    """

    subject: Subject
    counts: tuple[Sliding, ...] = (EMPTY,) * 8
    warned: tuple[int, ...] = (0,) * 8

    def plus(self, at: float, sent: Mapping[Unit, int]) -> "Tally":
        """Count what was sent at a time, in seconds since the Unix epoch."""
        counts = list(self.counts)
        for place, unit, width in _STEPS:
            if count := sent.get(unit):
                counts[place] = counts[place].plus(int(at // width), count)
        return Tally(self.subject, tuple(counts), self.warned)

    def sliding(self, unit: Unit, window: Window) -> Sliding:
        """Return one of the counts."""
        return self.counts[PLACES.index((unit, window))]

    def used(self, unit: Unit, window: Window, at: float) -> int:
        """Return how many count at a time."""
        return self.sliding(unit, window).used(int(at // window.width))


#: The order of a Tally's counts.
PLACES: Final = tuple((unit, window) for unit in Unit for window in Window)
_STEPS: Final = tuple((n, unit, window.width) for n, (unit, window) in enumerate(PLACES))


def account_subject(name: str) -> Subject:
    """Return under what an account is counted."""
    return Subject(f"account/{name}")


def credential_subject(identifier: str) -> Subject:
    """Return under what a credential is counted."""
    return Subject(f"credential/{identifier}")
