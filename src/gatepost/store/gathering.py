"""How long a batch of jobs gathers before it is made durable."""

import time
from collections.abc import Callable
from typing import Final

#: Seconds from the end of a batch in which the next one gathers. On two busy cores 4 ms saved a fifth
#: of the CPU time per message (2 ms less); what accepts is slower than that anyway.
GATHER: Final = 0.004
#: The same while the process is busy and few jobs have come: a batch has its price, however small it
#: is, and time spent on it is taken from those who wait. Never more than fivefold.
LONGER: Final = 5.0
#: So many jobs are company enough: their share of the batch's price is small.
ENOUGH: Final = 16
#: The share of one core from which a process is busy.
_BUSY: Final = 0.4
#: How much of the last batch's share of a core goes into the mean.
_WEIGHT: Final = 0.25


class Gathering:
    """Says when the next batch begins; in seconds. Used by one thread."""

    __slots__ = ("_busy", "_clock", "_cpu_clock", "_ended_at", "_spent", "_window")

    def __init__(
        self,
        window: float = GATHER,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        """`cpu_clock` tells the seconds of CPU that the process has used."""
        self._window = window
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._busy = 0.0
        #: A job that comes to a store that has done nothing yet waits for nobody.
        self._ended_at = clock() - window * LONGER
        self._spent = cpu_clock()

    def batch_ended(self) -> None:
        """Note that a batch is durable, and how busy the process was since the one before."""
        now, spent = self._clock(), self._cpu_clock()
        if now > self._ended_at:
            share = (spent - self._spent) / (now - self._ended_at)
            self._busy += (share - self._busy) * _WEIGHT
        self._ended_at, self._spent = now, spent

    def first(self) -> float:
        """Return how long to wait, whatever has come."""
        return self._ended_at + self._window - self._clock()

    def longer(self, waiting: int) -> float:
        """Return how long to wait after that for company of the `waiting` jobs; <= 0: begin."""
        if not 0 < waiting < ENOUGH or self._busy < _BUSY:
            return 0.0
        return self._ended_at + self._window * LONGER - self._clock()
