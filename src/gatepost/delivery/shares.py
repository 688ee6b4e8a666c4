"""Of a worker's room, no destination takes more than half of what is left.

A destination that is slower than its mail comes would fill the room, and others would wait behind
it for no reason. So each may have in hand as much as half of what is free at that moment (Choudhury
and Hahne, Dynamic Queue Length Thresholds, 1998): one alone gets a third of the room, many get less,
and there is always some for who comes next. Lanes count apart: a campaign uses up nobody's share
but its own. While some have more than that, due mail is not taken
by its age but in turn from the others, a few of each.

Of new mail an account hands over, by lane, no more than four times what is left: the rest it leaves to the
store, from which the last eighth of the room is never filled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gatepost.model.delivery import Leased
from gatepost.model.lane import Lane
from gatepost.store.protocols import Lease, Reading, Store

#: So many of one destination are never too many.
_LEAST: Final = 16
#: So many of one account are never too many; else, so many times what is free.
_LEAST_OF_ACCOUNT: Final = 64
_TIMES: Final = 4
#: Destinations that are looked at, and from which something is taken, at once: what waits for a
#: thousand others costs a few milliseconds.
_LOOKED_AT: Final = 1000
_TAKEN_FROM: Final = 64


@dataclass(frozen=True, slots=True)
class Taken:
    """What was leased, and whether there may be more at once."""

    leased: list[Leased]
    more: bool


class Shares:
    """How many deliveries of a lane to a destination a worker has in hand, and whose turn is next."""

    def __init__(self) -> None:
        self._in_hand: dict[tuple[Lane, str], int] = {}
        self._of_account: dict[tuple[Lane, str], int] = {}
        self._after: dict[Lane, str] = {}

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

    def crowd(self, free: int) -> set[tuple[Lane, str]]:
        """Return what there is enough of."""
        most = max(_LEAST, free // 2)
        return {key for key, count in self._in_hand.items() if count >= most}

    async def lease(
        self,
        store: Store,
        now: datetime,
        lease: Lease,
        limit: int,
        room: Mapping[Lane, int],
        *,
        ended: bool,
    ) -> Taken:
        """Lease up to `limit` deliveries that are due, within the room of each lane; with `ended`
        also such whose lease has ended.

        Raises:
            StoreUnavailableError: nothing was leased.

        """
        crowd = self.crowd(max(room.values()))
        if not crowd:
            leased = await store.write(
                lambda t: t.lease_due(now, lease, limit=limit, within=room, ended=ended)
            )
            return Taken(leased, more=len(leased) >= limit)
        lanes = [lane for lane, left in room.items() if left]
        walked = await store.read(lambda reading: self._walk(reading, lanes, now, lease.pools))
        chosen: dict[Lane, list[str]] = {}
        for lane, (names, last) in walked.items():
            others = [name for name in names if (lane, name) not in crowd]
            most = min(_TAKEN_FROM, room[lane])
            chosen[lane] = others[:most]
            self._after[lane] = chosen[lane][-1] if len(others) > most else last
        count = sum(map(len, chosen.values()))
        each = max(1, min(limit, *(room[lane] for lane in lanes)) // max(1, count))
        leased = await store.write(
            lambda t: (
                t.lease_of(now, lease, destinations=chosen, each=each)
                + (t.lease_ended(now, lease, limit=limit, within=room) if ended else [])
            )
        )
        return Taken(leased, more=bool(leased))

    def _walk(
        self, reading: Reading, lanes: list[Lane], now: datetime, pools: Sequence[str]
    ) -> dict[Lane, tuple[tuple[str, ...], str]]:
        found = {}
        for lane in lanes:
            after = self._after.get(lane, "")
            walked = reading.due_destinations(lane, now, after=after, limit=_LOOKED_AT, pools=pools)
            if not walked.due and after and not walked.last:  # from the beginning again
                walked = reading.due_destinations(
                    lane, now, after="", limit=_LOOKED_AT, pools=pools
                )
            found[lane] = (walked.due, walked.last)
        return found


def _count_off(counts: dict[tuple[Lane, str], int], key: tuple[Lane, str]) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
