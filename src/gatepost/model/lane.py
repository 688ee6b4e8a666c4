"""Lanes: how urgent a message is, and how what waits is dealt between them (ADR 15)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Lane(StrEnum):
    """One-time passwords and the like; what one person waits for; what many get at once."""

    OTP = "otp"
    TRANSACTIONAL = "transactional"
    BULK = "bulk"


#: The most urgent first.
LANES: Final = tuple(Lane)
#: Of 21 turns at one site, so many go to each lane while all of them wait.
WEIGHTS: Final[Mapping[Lane, int]] = {Lane.OTP: 16, Lane.TRANSACTIONAL: 4, Lane.BULK: 1}

_RANK: Final = {lane: rank for rank, lane in enumerate(LANES)}


def is_more_urgent(one: Lane, other: Lane) -> bool:
    """Tell whether `one` goes before `other`."""
    return _RANK[one] < _RANK[other]


def less_urgent(one: Lane, other: Lane) -> Lane:
    """Return the one of two that goes behind the other."""
    return other if is_more_urgent(one, other) else one


def deal(limit: int, waiting: Mapping[Lane, int]) -> dict[Lane, int]:
    """Return how many of each lane to take, `limit` together at most and no more than wait.

    By weight, at least one of each that waits (the most urgent first, where not even that is
    possible); what a lane leaves goes to the others.
    """
    dealt = dict.fromkeys(LANES, 0)
    left = limit
    while left > 0:
        hungry = [lane for lane in LANES if dealt[lane] < waiting.get(lane, 0)]
        if not hungry:
            break
        total = sum(WEIGHTS[lane] for lane in hungry)
        to_share = left
        for behind, lane in zip(range(len(hungry) - 1, -1, -1), hungry, strict=True):
            share = min(to_share * WEIGHTS[lane] // total, left - behind)
            taken = min(max(1, share), waiting[lane] - dealt[lane], left)
            dealt[lane] += taken
            left -= taken
    return dealt
