"""Keys of TLS session tickets that live for a day, though Python cannot change a context's.

A context has its ticket keys from birth, and children of a fork inherit them. So the contexts of
many days are made before the fork, and every process shows the one of the day: by a clock that all
processes of a machine share, so that each resumes what another began. What is over is let go of.
Who has run for longer than they last makes its own from then on, and resumes only what it began.
"""

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

#: Seconds that a key seals and opens tickets. (A ticket is good for two hours at most.)
DAY: Final = 86_400.0
#: How many days are made beforehand, at 13 KB and 0.12 ms each.
DAYS: Final = 100


class DailyContexts:
    """One listener's contexts: today's, and those of the days to come.

    Args:
        make: returns another context, with ticket keys of its own.
        clock: seconds of a clock that goes on evenly, the same in all processes.

    """

    def __init__(
        self, make: Callable[[], ssl.SSLContext], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._clock = clock
        self._contexts = deque(make() for _ in range(DAYS))
        self._over_at = clock() + DAY

    def __iter__(self) -> Iterator[ssl.SSLContext]:
        return iter(self._contexts)

    def today(self) -> ssl.SSLContext:
        """Return today's context, and let go of those of the days before."""
        now = self._clock()
        while now >= self._over_at:
            self._over_at += DAY
            self._contexts.popleft()
            if not self._contexts:
                self._contexts.append(self._make())
        return self._contexts[0]
