"""What costs much to know and is asked for by strangers: it is looked up once in a while for all."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lately(Generic[T]):
    """A value that is good for some seconds. Whoever comes while it is looked up waits for that."""

    __slots__ = ("_clock", "_good_until", "_lock", "_seconds", "_value")

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._good_until = 0.0

    async def get(self, look_up: Callable[[], Awaitable[T]]) -> T:
        """Return the value, and raise what `look_up` raises."""
        async with self._lock:
            if self._value is None or self._clock() >= self._good_until:
                self._value = await look_up()
                self._good_until = self._clock() + self._seconds
            return self._value
