"""When what a process keeps of the store is to be read again."""

from collections.abc import Callable


class Freshness:
    """Due after a change in the store, but not with every commit of a neighbour: at most once in
    `pause` seconds of `clock`. At first it is due.
    """

    __slots__ = ("_clock", "_is_stale", "_pause", "_read_at", "_version")

    def __init__(self, pause: float, clock: Callable[[], float]) -> None:
        self._pause = pause
        self._clock = clock
        self._version: int | None = None
        self._is_stale = True
        self._read_at = clock() - pause

    def is_due(self, data_version: int) -> bool:
        """Tell whether to read now, given what `Store.data_version` says."""
        if data_version != self._version:
            self._version = data_version
            self._is_stale = True
        return self._is_stale and self._clock() - self._read_at >= self._pause

    def reading(self) -> None:
        """Note that it is being read."""
        self._is_stale = False
        self._read_at = self._clock()

    def failed(self) -> None:
        """Note that it could not be read."""
        self._is_stale = True
