"""Whose turn it is at one site, and how much of a worker's room each lane may fill."""

from collections.abc import Collection, Mapping
from math import ceil
from typing import Final

from gatepost.model.lane import LANES, WEIGHTS, Lane

#: Shares of what a worker may hold: a campaign leaves room for what is more urgent.
_SHARES: Final[Mapping[Lane, float]] = {Lane.OTP: 1.0, Lane.TRANSACTIONAL: 0.9, Lane.BULK: 0.8}


def room_for(most: int, held: int) -> dict[Lane, int]:
    """Return how many more of each lane a worker takes that may hold `most` and holds `held`."""
    return {lane: max(0, ceil(most * share) - held) for lane, share in _SHARES.items()}


def has_room(lane: Lane, most: int, held: int) -> bool:
    """Tell whether `room_for` has any for this lane."""
    return held < most * _SHARES[lane]


class Turns:
    """Smooth weighted round robin: urgent lanes come first and oftener, none waits for ever.

    A lane that was empty brings no credit: it has its turn by weight from now on.
    """

    __slots__ = ("_credit",)

    def __init__(self) -> None:
        self._credit = dict.fromkeys(LANES, 0)

    def whose(self, waiting: Collection[Lane]) -> Lane:
        """Return whose turn it is among the lanes that wait.

        Raises:
            ValueError: none waits.

        """
        # max() takes the first of equals: the most urgent.
        return max(
            (lane for lane in LANES if lane in waiting),
            key=lambda lane: self._credit[lane] + WEIGHTS[lane],
        )

    def take(self, taken: Lane, waiting: Collection[Lane]) -> None:
        """Count a turn that `whose` gave."""
        total = 0
        for lane in LANES:
            if lane in waiting:
                total += WEIGHTS[lane]
                self._credit[lane] += WEIGHTS[lane]
            else:
                self._credit[lane] = 0
        self._credit[taken] -= total
