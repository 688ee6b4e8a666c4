"""Mail of pools of source addresses: which there is, and which a worker may lease (`egress`).

A delivery names its pool; a worker leases of the pools that it serves. "" is no pool: mail that any
node may send. What no node serves is nobody's to lease, and still has to expire in time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from gatepost.model.delivery import DeliveryState, Leased
from gatepost.model.ids import DeliveryId
from gatepost.model.lane import LANES, Lane, deal
from gatepost.store.counts import ReadsCounts
from gatepost.store.leases import Held, Lease


class ReadsPools(ReadsCounts, Protocol):
    """The reading half, and how much waits altogether."""

    def waiting_pools(self) -> list[str]:
        """Return the pools, by name, of which deliveries are DUE; "" is none."""
        ...

    def pool_depth(self) -> dict[str, dict[DeliveryState, int]]:
        """Return how many deliveries of each pool stand in each state that is not final, by name;
        "" is none. An index is gone through."""
        ...

    def strays(
        self, pool: str, now: datetime, *, received_before: datetime, limit: int
    ) -> list[DeliveryId]:
        """Return deliveries of a pool that are due and whose time is over, or whose senders were
        told nothing yet though the message came before then."""
        ...


class LeasesOfPools(Protocol):
    """The changing half."""

    def lease_these(self, ids: Sequence[DeliveryId], lease: Lease) -> list[Leased]:
        """Lease those among these that are DUE, whatever their pools."""
        ...

    def withdraw_attempts(self, held: Sequence[Held]) -> None:
        """Take back one attempt that was counted for each delivery still held, and not made."""
        ...


@lru_cache(maxsize=256)
def of_each(
    question: str, pools: int, *, after: int = 0, lanes: Sequence[int] = range(len(LANES))
) -> str:
    """Return a statement that asks a question for each lane, and in it for each of `pools` pools.

    `question` says {lane}, {pool} (a value, behind `after` others) and {n}, a number of its own.
    """
    asked = [
        question.format(lane=lane, pool=f"?{after + pool + 1}", n=number * pools + pool)
        for number, lane in enumerate(lanes)
        for pool in range(pools)
    ]
    return f"SELECT {', '.join(asked)}"


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a lane and a pool are to be leased."""

    lane: Lane
    pool: str
    count: int


def dealt(
    limit: int, counts: Sequence[int], room: Mapping[Lane, int], pools: Sequence[str]
) -> list[Share]:
    """Return what to lease, up to `limit`, the most urgent lane first; shares of nothing are left out.

    `counts` is what `of_each` says: how many wait of each lane's pools. `room` bounds each lane.
    """
    waiting = {
        lane: dict(zip(pools, counts[at : at + len(pools)], strict=True))
        for lane, at in zip(LANES, range(0, len(counts), len(pools)), strict=True)
    }
    sums = {
        lane: min(total, room[lane]) for lane, w in waiting.items() if (total := sum(w.values()))
    }
    if not sums:
        return []
    return [
        Share(lane, pool, share)
        for lane, count in deal(limit, sums).items()
        for pool, share in shared_out(count, waiting[lane]).items()
        if share
    ]


def shared_out(count: int, waiting: Mapping[str, int]) -> dict[str, int]:
    """Return how many each pool may have of `count`: equal shares, and what one does not need goes
    to the others.
    """
    shares = dict.fromkeys(waiting, 0)
    left = count
    hungry = [pool for pool, number in waiting.items() if number]
    while left and hungry:
        each = max(1, left // len(hungry))
        for pool in hungry:
            more = min(each, waiting[pool] - shares[pool], left)
            shares[pool] += more
            left -= more
        hungry = [pool for pool in hungry if shares[pool] < waiting[pool]]
    return shares
