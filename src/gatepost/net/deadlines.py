"""One sweep for all deadlines of a worker, four times a second, instead of a timer each."""

import asyncio
from typing import Final, Protocol

#: How long after its time a deadline may strike, in seconds.
SWEEP_INTERVAL: Final = 0.25


class Expiring(Protocol):
    """What has a deadline (in seconds of its loop's clock; None: none) and can be told."""

    deadline: float | None

    def expire(self) -> None:
        """Hear, at each sweep, that the deadline has passed."""
        ...


class Deadlines:
    """All that may expire on one event loop.

    Needs no start and no stop: it sweeps while anything is registered and sleeps otherwise.
    """

    __slots__ = ("_interval", "_loop", "_timer", "_watched")

    def __init__(self, interval: float = SWEEP_INTERVAL) -> None:
        self._interval = interval
        self._watched: set[Expiring] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, expiring: Expiring) -> None:
        """Watch it until `discard`. Called on the loop."""
        self._watched.add(expiring)
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(self._interval, self._tick)

    def discard(self, expiring: Expiring) -> None:
        """Watch it no longer."""
        self._watched.discard(expiring)

    def sweep(self, now: float) -> None:
        """Tell everybody whose deadline is `now` or earlier."""
        # A list first: whoever is told may leave the set.
        for expiring in [w for w in self._watched if w.deadline is not None and w.deadline <= now]:
            expiring.expire()

    def _tick(self) -> None:
        self._timer = None
        if not self._watched or self._loop is None:
            return
        self._timer = self._loop.call_later(self._interval, self._tick)
        self.sweep(self._loop.time())
