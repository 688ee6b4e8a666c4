"""Of a worker's room, no destination takes more than half of what is left.

A destination that is slower than its mail comes would fill the room, and others would wait behind
it for no reason. So each may have in hand as much as half of what is free at that moment (Choudhury
and Hahne, Dynamic Queue Length Thresholds, 1998): one alone gets a third of the room, many get less,
and there is always some for who comes next. Lanes count apart: a campaign uses up nobody's share
but its own.

An account may have four times what is left, by lane: of new mail the rest is left to the store, from
which the last eighth of the room is never filled. While a destination or an account has its share,
`lease_fairly` takes from the others.
"""

from collections.abc import Mapping
from typing import Final

from gatepost.model.lane import Lane

#: So many of one destination, or leased of one account, are never too many.
_LEAST: Final = 16
#: So many of one account may be handed over; else, so many times what is free.
_LEAST_OF_ACCOUNT: Final = 64
_TIMES: Final = 4


class Shares:
    """How many deliveries of a lane to a destination, and of an account, a worker has in hand."""

    def __init__(self) -> None:
        self._in_hand: dict[tuple[Lane, str], int] = {}
        self._of_account: dict[tuple[Lane, str], int] = {}

    def add(self, lane: Lane, destination: str, account: str = "") -> None:
        """Count one that came into our hands; `account` is "" for mail without one."""
        key = lane, destination
        self._in_hand[key] = self._in_hand.get(key, 0) + 1
        key = lane, account
        self._of_account[key] = self._of_account.get(key, 0) + 1

    def remove(self, lane: Lane, destination: str, account: str = "") -> None:
        """Count one that left them."""
        _count_off(self._in_hand, (lane, destination))
        _count_off(self._of_account, (lane, account))

    def hands_over(self, lane: Lane, account: str, count: int, free: int) -> bool:
        """Tell whether an account may hand over so many more while so much room is free."""
        held = self._of_account.get((lane, account), 0) + count
        return held <= max(_LEAST_OF_ACCOUNT, _TIMES * (free - count))

    def has_enough(self, lane: Lane, destination: str, free: int) -> bool:
        """Tell whether no more is to be taken while so much room is free."""
        return self._in_hand.get((lane, destination), 0) >= max(_LEAST, free // 2)

    def crowd(self, room: Mapping[Lane, int]) -> set[tuple[Lane, str]]:
        """Return of which destinations there is enough while a lane has so much room."""
        most = {lane: max(_LEAST, free // 2) for lane, free in room.items()}
        return {key for key, count in self._in_hand.items() if count >= most[key[0]]}

    def crowding(self, room: Mapping[Lane, int]) -> set[tuple[Lane, str]]:
        """Return of which accounts there is enough."""
        most = {lane: max(_LEAST, _TIMES * free) for lane, free in room.items()}
        return {key for key, count in self._of_account.items() if count >= most[key[0]]}


def _count_off(counts: dict[tuple[Lane, str], int], key: tuple[Lane, str]) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
