"""A bell that wakes one thread.

Not `queue.SimpleQueue`: its `get(timeout=…)` may wait for ever (CPython 3.7 to 3.13 at least). What was put
before and has been taken leaves its lock open; the next `get` of an empty queue passes it once, and where the
time is over by then, as on a loaded machine it may be, goes on with a negative time, which means no end.
"""

import threading
from contextlib import suppress


class Bell:
    """Rung by any thread, heard by one. A ring that nobody waits for is kept; several are one.

    Whoever rings does so behind what the other is to see.
    """

    __slots__ = ("_silence",)

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Wake whoever waits, or will wait next."""
        with suppress(RuntimeError):  # it rings already, and is heard behind this
            self._silence.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait for so many seconds at most, None: for ever; tell whether it rang."""
        return self._silence.acquire(timeout=-1.0 if seconds is None else max(0.0, seconds))
