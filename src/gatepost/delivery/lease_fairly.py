"""Room 5: whose mail comes into this worker's hands, when more of it is due than there is room for.

While all that is due is taken at once, it is taken by its age. Else accounts take turns, so that a
backlog of one, however long, keeps nobody waiting (ADR 32); who has his share in hand is passed over.
Of a destination that has (`shares`), nothing is taken, and an account's others take turns.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from math import ceil
from typing import Final

from gatepost.delivery.shares import Shares
from gatepost.model.delivery import Leased
from gatepost.model.lane import LANES, Lane, deal
from gatepost.store.leases import Lease
from gatepost.store.protocols import Reading, Store, Transaction
from gatepost.store.turns import Line, Turn, Walked

#: Accounts from which something is taken at once.
_TAKEN_FROM: Final = 128
#: Names that are looked at until there is enough: accounts of all lines together, then destinations of
#: all accounts, and of each so many at least. (SQLite: 4 to 8 µs each, off the loop.)
_LOOKED_AT: Final = 4000
_LEAST_LOOKED_AT: Final = 128
#: Accounts of which it is remembered with which destination to go on.
_REMEMBERED: Final = 10_000

#: A lane's accounts or destinations: names of which there is enough in hand.
_Crowd = Collection[tuple[Lane, str]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What was leased, and whether there may be more at once."""

    leased: list[Leased]
    more: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a worker has room for: `limit` in all, so many of each lane; `ended`: also what others
    had leased.
    """

    now: datetime
    lease: Lease
    limit: int
    room: Mapping[Lane, int]
    ended: bool


@dataclass(frozen=True, slots=True)
class Lap:
    """The accounts of a line that have mail due, in turn. `last` is the last one that was looked at,
    None where the next lap begins with the first; `is_whole`: no other account has any.
    """

    due: tuple[str, ...]
    last: str | None
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """What is taken of an account by its destinations, and where its next turn goes on."""

    turns: tuple[Turn, ...]
    last: str | None


class FairLease:
    """Takes due mail from the store for one worker, and remembers whose turn is next."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._after: dict[Line, str | None] = {}
        self._after_of: dict[tuple[Line, str], str | None] = {}
        #: More was due than was taken.
        self._is_behind = False

    async def lease(self, store: Store, wanted: Wanted) -> Taken:
        """Lease what is due, as far as there is room.

        Raises:
            StoreUnavailableError: nothing was leased.

        """
        crowd = self._shares.crowd(wanted.room)
        crowding = self._shares.crowding(wanted.room)
        # Whoever comes next finds some of it, whosever mail is taken now.
        wanted = replace(wanted, room={lane: _most(left) for lane, left in wanted.room.items()})
        if not (self._is_behind or crowd or crowding):
            return await self._by_age(store, wanted)
        after, enough = dict(self._after), _TAKEN_FROM + len(crowding)
        lines = _lines(wanted)
        limit = _limit(len(lines))
        laps = await store.read(
            lambda reading: {
                line: _lap(Look(reading, wanted.now, limit), line, after.get(line), enough)
                for line in lines
            }
        )
        if not (crowd or crowding) and _all_are_alone(laps):
            return await self._by_age(store, wanted)
        turns = self._in_turn(laps, wanted, crowding)
        if crowd:
            turns = await self._by_destination(store, turns, wanted.now, crowd)
        leased: list[Leased] = []
        if turns or wanted.ended:
            leased = await store.write(lambda tx: _lease(tx, wanted, turns))
        self._is_behind = bool(leased)
        return Taken(leased, more=self._is_behind)

    async def _by_age(self, store: Store, wanted: Wanted) -> Taken:
        limit, room = wanted.limit, wanted.room
        leased = await store.write(
            lambda tx: tx.lease_due(
                wanted.now, wanted.lease, limit=limit, within=room, ended=wanted.ended
            )
        )
        counts = Counter(one.delivery.lane for one in leased)
        is_full = len(leased) >= limit
        self._is_behind = is_full or any(0 < left <= counts[lane] for lane, left in room.items())
        return Taken(leased, more=is_full)

    def _in_turn(
        self, laps: Mapping[Line, Lap], wanted: Wanted, crowding: _Crowd
    ) -> Sequence[Turn]:
        """Return what to take of whom: by lane as ever, and of each account the same."""
        waiting: dict[Lane, list[Turn]] = {}
        for lane in LANES:
            lines = [
                [Turn(line, name, 0) for name in lap.due if (lane, name) not in crowding]
                for line, lap in laps.items()
                if line.lane is lane
            ]
            waiting[lane] = [turn for turns in zip_longest(*lines) for turn in turns if turn]
        room = {lane: wanted.room[lane] for lane, turns in waiting.items() if turns}
        chosen: list[Turn] = []
        for lane, count in deal(wanted.limit, room).items():
            some = waiting[lane][: min(count, _TAKEN_FROM)]
            chosen += [replace(turn, count=count // len(some)) for turn in some]
        for line, lap in laps.items():
            there = [turn.account for turn in waiting[line.lane] if turn.line == line]
            ours = [turn.account for turn in chosen if turn.line == line]
            if len(ours) == len(there):
                self._after[line] = lap.last
            elif ours:
                self._after[line] = ours[-1]
        return chosen

    async def _by_destination(
        self, store: Store, turns: Sequence[Turn], now: datetime, crowd: _Crowd
    ) -> Sequence[Turn]:
        """Return the same turns without the destinations of which there is enough."""
        lanes = {lane for lane, _ in crowd}
        concerned = [turn for turn in turns if turn.line.lane in lanes]
        limit = _limit(len(concerned))
        after = [self._after_of.pop((turn.line, turn.account), None) for turn in concerned]
        stops = await store.read(
            lambda reading: [
                _stop(Look(reading, now, limit), turn, last, crowd)
                for turn, last in zip(concerned, after, strict=True)
            ]
        )
        if len(self._after_of) > _REMEMBERED:
            self._after_of.clear()
        for turn, stop in zip(concerned, stops, strict=True):
            if stop.last is not None:
                self._after_of[turn.line, turn.account] = stop.last
        others = [turn for turn in turns if turn.line.lane not in lanes]
        return others + [turn for stop in stops for turn in stop.turns]


def _most(room: int) -> int:
    """Return four fifths of a lane's room: what one account may have of it (`shares`)."""
    return ceil(room * 4 / 5)


def _lines(wanted: Wanted) -> list[Line]:
    return [
        Line(lane, pool)
        for lane, left in wanted.room.items()
        if left
        for pool in wanted.lease.pools
    ]


def _limit(several: int) -> int:
    """Return how many names each of several may have looked at."""
    return max(_LEAST_LOOKED_AT, _LOOKED_AT // max(1, several))


def _lap(look: "Look", line: Line, after: str | None, enough: int) -> Lap:
    """Go on behind `after`, and from the beginning where that was the end."""
    found = look.at_accounts(line, after, enough)
    if after is None or found.last is not None:
        return Lap(found.due, found.last, is_whole=after is None and found.last is None)
    left = enough - len(found.due)
    first = look.at_accounts(line, None, left)
    others = tuple(name for name in first.due if name <= after)
    return Lap(found.due + others, first.last, first.last is None or first.last >= after)


def _all_are_alone(laps: Mapping[Line, Lap]) -> bool:
    """Tell whether in no lane anybody waits for another account."""
    due: dict[Lane, set[str]] = {}
    for line, lap in laps.items():
        due.setdefault(line.lane, set()).update(lap.due)
    return all(len(names) <= 1 for names in due.values()) and all(
        lap.is_whole for lap in laps.values()
    )


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the store: when, and at how many names."""

    reading: Reading
    now: datetime
    limit: int

    def at_accounts(self, line: Line, after: str | None, enough: int) -> Walked:
        """Look at a line's accounts until mail of enough of them is due."""
        return self.reading.due_accounts(
            line, self.now, after=after, limit=self.limit, enough=enough
        )

    def at(self, turn: Turn, after: str | None, enough: int) -> Walked:
        """Look at an account's destinations until mail for enough of them is due."""
        return self.reading.due_destinations(
            turn.line, turn.account, self.now, after=after, limit=self.limit, enough=enough
        )


def _stop(look: Look, turn: Turn, after: str | None, crowd: _Crowd) -> Stop:
    lane, count = turn.line.lane, turn.count
    enough = count + len(crowd)
    walked = look.at(turn, after, enough)
    if after is not None and walked.last is None and not walked.due:
        walked = look.at(turn, None, enough)
    others = [name for name in walked.due if (lane, name) not in crowd]
    some = others[:count]
    turns = [replace(turn, destination=name, count=count // len(some)) for name in some]
    return Stop(tuple(turns), some[-1] if len(others) > count else walked.last)


def _lease(transaction: Transaction, wanted: Wanted, turns: Sequence[Turn]) -> list[Leased]:
    leased = transaction.lease_turns(wanted.now, wanted.lease, turns)
    if wanted.ended:
        leased += transaction.lease_ended(
            wanted.now, wanted.lease, limit=wanted.limit, within=wanted.room
        )
    return leased
