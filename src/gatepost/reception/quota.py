"""How much may still be sent: what is left, how much of it a worker takes at a time, and the words
for nothing left (decisions 22, 28). Pure: counts and the time in, values out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from gatepost.model.quota import PLACES, Limit, Limits, Tally, Unit, Window
from gatepost.wire.smtp.replies import QUOTA_SPENT, Reply

#: What a worker takes at most, and which part of what is left: so portions shrink to 1 by
#: themselves, and a limit of 1000 an hour costs some 80 questions an hour.
MOST: Final[Mapping[Unit, int]] = {Unit.MESSAGES: 50, Unit.RECIPIENTS: 200}
_PART: Final = 8
#: Percentages of a limit at which the operator is told, and how far use must fall below one
#: before it can be told again.
_WARNED_AT: Final = (95, 80)
_BACK: Final = 10


@dataclass(frozen=True, slots=True)
class Use:
    """How a subject stands to one limit. `opens_at` is None while there is room, and where there
    never will be (a limit of 0).
    """

    unit: Unit
    window: Window
    used: int
    most: int
    opens_at: datetime | None = None

    @property
    def left(self) -> int:
        """Return how many more there may be; less than 0 where the limit was lowered."""
        return self.most - self.used

    @property
    def words(self) -> str:
        """Return "1000 of 1000 messages in an hour"."""
        return f"{self.used} of {self.most} {self.unit.value} in {self.window.words}"

    @property
    def reply(self) -> Reply:
        """Return the refusal, with the time from which on it is worth another try."""
        if self.opens_at is None:
            return QUOTA_SPENT.about(f"{self.words}; ask the operator")
        again = f"opens again at {self.opens_at:%Y-%m-%d %H:%M:%S} UTC"
        return QUOTA_SPENT.about(f"{self.words}; {again}")


@dataclass(frozen=True, slots=True)
class Warned:
    """A limit whose use has grown beyond a percentage of it."""

    use: Use
    percent: int


@lru_cache(maxsize=1024)
def effective(defaults: Limits, own: Limits) -> Limits:
    """Return the limits that hold: an account's own before the settings', and only such as
    restrict.
    """
    chosen = {(limit.unit, limit.window): limit for limit in (*defaults, *own)}
    return tuple(limit for limit in chosen.values() if limit.most is not None)


def uses(tally: Tally, limits: Limits, at: float, *, held: Mapping[Unit, int]) -> list[Use]:
    """Return how a subject stands to each limit at a time (seconds since the Unix epoch), what
    workers hold unspent counted as spent now.
    """
    counted = tally.plus(at, held)
    return [_use(counted, limit, limit.most, at) for limit in limits if limit.most is not None]


def _use(tally: Tally, limit: Limit, most: int, at: float) -> Use:
    width = limit.window.width
    bucket = int(at // width)
    sliding = tally.sliding(limit.unit, limit.window)
    used = sliding.used(bucket)
    opens_at = None
    if used >= most > 0:
        opens_at = datetime.fromtimestamp(sliding.room_at(bucket, most) * width, UTC)
    return Use(limit.unit, limit.window, used, most, opens_at)


def narrowest(found: Iterable[Use], unit: Unit) -> Use | None:
    """Return which of the limits on a unit leaves least; of spent ones, that which opens last."""

    def order(use: Use) -> tuple[int, float]:
        opens = use.opens_at.timestamp() if use.opens_at else float("inf")
        return (max(use.left, 0), -opens if use.left <= 0 else 0.0)

    return min((use for use in found if use.unit is unit), key=order, default=None)


def portion(left: int, wanted: int, most: int) -> int:
    """Return how much to hand to a worker that needs `wanted` now: a part of what is left, at
    most `most`; close to the limit no more than it needs.
    """
    if left <= wanted:
        return max(left, 0)
    return min(left, max(wanted, min(most, left // _PART)))


def warnings(tally: Tally, found: Iterable[Use]) -> tuple[Tally, list[Warned]]:
    """Return which limits crossed 80 or 95 % since they were warned of last, and the tally that
    remembers it.
    """
    kept = list(tally.warned)
    crossed = []
    for use in found:
        place = PLACES.index((use.unit, use.window))
        before = kept[place]
        reached = _level(use)
        if reached > before:
            crossed.append(Warned(use, reached))
            kept[place] = reached
        elif reached < before and use.used * 100 < (before - _BACK) * use.most:
            kept[place] = reached
    return replace(tally, warned=tuple(kept)), crossed


def _level(use: Use) -> int:
    return next((p for p in _WARNED_AT if use.most and use.used * 100 >= p * use.most), 0)
