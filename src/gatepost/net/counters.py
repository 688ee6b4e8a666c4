"""Counters that the processes of a node share: connections per address, live metrics.

One anonymous mapping, made before the fork. Each worker writes its own region and nobody else's,
so that nothing is locked; the sum over all regions is read. Losing it loses nothing (decision 4).

Connections per client and per network are counted by sketch (count-min, Cormode and Muthukrishnan 2005): two rows
of buckets chosen by a keyed hash; the smaller sum is the estimate. It is never too low, and with
10 000 connections seldom too high by more than one. What one client is and what one network, says
`address`.
"""

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from gatepost.net.address import network_of, one_client

_BUCKETS: Final = 16384  # a power of two, per row
_CELL: Final = 4  # octets
_ROWS: Final = 2 * _BUCKETS
_SKETCH: Final = 2 * _ROWS * _CELL  # one of clients, one of networks behind it
_HEAD: Final = 4096  # one page of 64-bit numbers
_REGION: Final = _HEAD + _SKETCH
#: In the head: the metrics, refused logins by reason, when a certificate ends, a sign of life, then, from the 64th
#: number on, four for each source address.
_REASONS_AT: Final = 16
_EXPIRY_AT: Final = 62
_LIFE_AT: Final = 63
_SOURCES_AT: Final = 64
_OF_ONE: Final = 4
MOST_REASONS: Final = _EXPIRY_AT - _REASONS_AT
MOST_SOURCES: Final = (_HEAD // 8 - _SOURCES_AT) // _OF_ONE


class Metric(IntEnum):
    """The live figures of a worker; a number is a place in its region."""

    CONNECTIONS = 0
    SESSIONS = 1
    ACCEPTED = 2
    DELIVERED = 3
    DEFERRED = 4
    REFUSED = 5
    LOGINS = 6
    #: Connections that were not let in.
    TOO_MANY = 7
    OVERLOADED = 8
    HEADERLESS = 9

    @property
    def is_of_sources(self) -> bool:
        """Whether it is counted by source address, too."""
        return Metric.DELIVERED <= self <= Metric.REFUSED


@dataclass(frozen=True, slots=True)
class ConnectionCount:
    """How many connections are open on the node: in total, from one client, from its network."""

    total: int
    from_address: int
    from_network: int


class Counters:
    """The table of a node. Made by `create` in the supervisor, before the fork."""

    __slots__ = ("_heads", "_key", "_map", "_sketches")

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError("at least one worker")
        self._map = mmap.mmap(-1, workers * _REGION)
        self._key = os.urandom(16)  # a stranger shall not choose who shares a bucket
        whole = memoryview(self._map)
        starts = range(0, workers * _REGION, _REGION)
        self._heads = [whole[s : s + _HEAD].cast("Q") for s in starts]
        self._sketches = [whole[s + _HEAD : s + _REGION].cast("I") for s in starts]

    @classmethod
    def create(cls, workers: int) -> "Counters":
        """Return a table with a region for each of so many workers, all zero."""
        return cls(workers)

    @property
    def workers(self) -> int:
        """How many regions there are."""
        return len(self._heads)

    def worker(self, index: int) -> "WorkerCounters":
        """Return the hand of worker number `index`, from 0, on the table."""
        return WorkerCounters(self, self._heads[index], self._sketches[index])

    def clear(self, index: int) -> None:
        """Forget what a worker that died had counted. Called by the supervisor."""
        start = index * _REGION
        self._map[start : start + _REGION] = bytes(_REGION)

    def tick_of(self, index: int) -> int:
        """Return how often a worker has said that it lives; 0: not yet."""
        return self._heads[index][_LIFE_AT]

    def expiry(self) -> int:
        """Return when the first certificate of the node ends, in seconds since 1970; 0: not known."""
        return max([head[_EXPIRY_AT] for head in self._heads])

    def total(self, metric: Metric) -> int:
        """Return a metric's sum over the workers."""
        return sum(head[metric] for head in self._heads)

    def snapshot(self) -> Mapping[Metric, int]:
        """Return all metrics, each summed over the workers."""
        return {metric: self.total(metric) for metric in Metric}

    def logins_refused(self, reason: int) -> int:
        """Return how many logins were refused for one reason, by its place; over the workers."""
        return sum(head[_REASONS_AT + reason] for head in self._heads)

    def of_source(self, place: int, metric: Metric) -> int:
        """Return a metric's sum for one source address, by its place."""
        at = _place_of(place, metric)
        return sum(head[at] for head in self._heads)

    def connections_from(self, address: str) -> int:
        """Return how many connections are open from the client that an address is of."""
        return self.count_in(self.buckets(one_client(address)))

    def count_in(self, buckets: tuple[int, int]) -> int:
        """Return the estimate that two places of all the sketches give."""
        first, second = buckets
        return min(
            sum([sketch[first] for sketch in self._sketches]),
            sum([sketch[second] for sketch in self._sketches]),
        )

    def buckets(self, who: str, sketch: int = 0) -> tuple[int, int]:
        """Return the two places in all the sketches where a client is counted (`sketch` 0), or a
        network (1).
        """
        digest = blake2b(who.encode(), digest_size=8, key=self._key).digest()
        number, start = int.from_bytes(digest, "little"), sketch * _ROWS
        return start + number % _BUCKETS, start + _BUCKETS + (number >> 32) % _BUCKETS


class WorkerCounters:
    """One worker's own region; only that worker's event loop writes through it."""

    __slots__ = ("_head", "_sketch", "_table")

    def __init__(self, table: Counters, head: "memoryview[int]", sketch: "memoryview[int]") -> None:
        self._table = table
        self._head = head
        self._sketch = sketch

    def connection_opened(self, address: str) -> ConnectionCount:
        """Count a connection from an IP address in; return the counts of the node with it."""
        self._head[Metric.CONNECTIONS] += 1
        self._head[Metric.SESSIONS] += 1
        table, sketch = self._table, self._sketch
        client, network = self._places(address)
        for bucket in (*client, *network):
            sketch[bucket] += 1
        return ConnectionCount(
            table.total(Metric.CONNECTIONS), table.count_in(client), table.count_in(network)
        )

    def connection_closed(self, address: str) -> None:
        """Count out what `connection_opened` counted in."""
        if self._head[Metric.CONNECTIONS]:
            self._head[Metric.CONNECTIONS] -= 1
        client, network = self._places(address)
        for bucket in (*client, *network):
            if self._sketch[bucket]:
                self._sketch[bucket] -= 1

    def _places(self, address: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return where the client and the network of an address are counted."""
        buckets = self._table.buckets
        return buckets(one_client(address)), buckets(network_of(address), 1)

    def add(self, metric: Metric, count: int = 1) -> None:
        """Raise a metric."""
        self._head[metric] += count

    def add_login_refused(self, reason: int) -> None:
        """Count a refused login, by the place of its reason (below `MOST_REASONS`)."""
        self._head[_REASONS_AT + reason] += 1

    def add_of_source(self, place: int, metric: Metric) -> None:
        """Raise a metric of one source address, by its place."""
        self._head[_place_of(place, metric)] += 1

    def tick(self) -> None:
        """Say that this worker's loop turns."""
        self._head[_LIFE_AT] += 1

    def note_expiry(self, seconds: int) -> None:
        """Say when the first certificate of the node ends."""
        self._head[_EXPIRY_AT] = seconds

    def value(self, metric: Metric) -> int:
        """Return this worker's own part of a metric."""
        return self._head[metric]


def _place_of(place: int, metric: Metric) -> int:
    if not 0 <= place < MOST_SOURCES or not metric.is_of_sources:
        msg = f"{metric.name} of source {place} is not counted"
        raise ValueError(msg)
    return _SOURCES_AT + place * _OF_ONE + metric - Metric.DELIVERED
