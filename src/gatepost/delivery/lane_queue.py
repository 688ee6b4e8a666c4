"""The parcels that wait for one site, by lane."""

from collections import deque
from collections.abc import Iterator
from typing import Final

from gatepost.delivery.parcel import Parcel
from gatepost.model.lane import LANES, Lane, is_more_urgent
from gatepost.queue.lanes import Turns

_LEAST_URGENT_FIRST: Final = LANES[::-1]


class LaneQueue:
    """First in, first out within a lane; between lanes by weight.

    Most sites see one lane only: a lane has its queue from its first parcel on.
    """

    __slots__ = ("_length", "_queues", "_turns")

    def __init__(self) -> None:
        self._queues: dict[Lane, deque[Parcel]] = {}
        self._turns = Turns()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, parcel: Parcel) -> None:
        """Queue a parcel behind those of its lane."""
        self._queue(parcel.lane).append(parcel)
        self._length += 1

    def put_first(self, parcel: Parcel) -> None:
        """Queue a parcel before those of its lane."""
        self._queue(parcel.lane).appendleft(parcel)
        self._length += 1

    def all(self) -> Iterator[Parcel]:
        """Return what waits, lane by lane, without taking it."""
        for queue in self._queues.values():
            yield from queue

    def first(self) -> Parcel:
        """Return the parcel whose turn it is. Raises IndexError when none waits."""
        return self._queues[self._whose()][0]

    def take_first(self) -> Parcel:
        """Take the parcel whose turn it is. Raises IndexError when none waits."""
        lane = self._whose()
        if len(self._queues) > 1:
            self._turns.take(lane, [lane for lane, queue in self._queues.items() if queue])
        self._length -= 1
        return self._queues[lane].popleft()

    def take_last(self) -> Parcel:
        """Take the youngest parcel of the least urgent lane. Raises IndexError when none waits."""
        for lane in _LEAST_URGENT_FIRST:
            if queue := self._queues.get(lane):
                self._length -= 1
                return queue.pop()
        msg = "nothing waits"
        raise IndexError(msg)

    def holds_more_urgent(self, than: Lane) -> bool:
        """Tell whether something waits that goes before a lane."""
        if len(self._queues) < 2 and than in self._queues:
            return False
        return any(queue and is_more_urgent(lane, than) for lane, queue in self._queues.items())

    def _queue(self, lane: Lane) -> deque[Parcel]:
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._queues[lane] = deque()
        return queue

    def _whose(self) -> Lane:
        if not self._length:
            msg = "nothing waits"
            raise IndexError(msg)
        if len(self._queues) == 1:
            return next(iter(self._queues))
        return self._turns.whose([lane for lane, queue in self._queues.items() if queue])
