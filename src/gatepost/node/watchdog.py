"""A process that hangs is ended: what it holds, connections and the store's lock, goes with it.

Whose event loop turns, and whose store gets on, says so once a second, in a table that processes
share. A store that waits for a disk, a server or a lock of others gets on as far as we can help it:
clients are put off meanwhile, and nobody is killed. Silence is counted by the turns of who watches,
each for a little time at most: after a machine has slept, or all of its processes were frozen
together, nobody is late.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gatepost.net.counters import WorkerCounters
from gatepost.node.child import Child

#: Seconds between two signs of life.
_TICK: Final = 1.0
#: Seconds of silence after which a process is held for hung: much longer than a loaded machine makes
#: one wait.
HUNG: Final = 60.0
#: Seconds that count at most from one look to the next; looks are half a second apart.
_LONGEST_TURN: Final = 2.0


class Life:
    """This process's signs of life, from now on, for as long as its loop turns and what is heeded
    gets on.
    """

    def __init__(self, counters: WorkerCounters) -> None:
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._gets_on: Callable[[], bool] = lambda: True
        self._tick()

    def heed(self, gets_on: Callable[[], bool]) -> None:
        """Ask this once a second; a process in which it is False for long is none that lives."""
        self._gets_on = gets_on

    def _tick(self) -> None:
        if self._gets_on():
            self._counters.tick()
        self._loop.call_later(_TICK, self._tick)


@dataclass(frozen=True, slots=True)
class _Life:
    tick: int
    silent: float


class Watchdog:
    """Who watches. `tick_of` returns the last sign of a child: 0 where it has given none yet, for its
    loop has not begun.
    """

    def __init__(self, tick_of: Callable[[Child], int]) -> None:
        self._tick_of = tick_of
        self._lives: dict[int, _Life] = {}
        self._looked_at: float | None = None

    def hung(self, children: Iterable[Child], now: float) -> list[Child]:
        """Look at the living; return those that hang, each again only after as long again.

        Args:
            children: who is to be alive.
            now: seconds, from any beginning.

        """
        since = now if self._looked_at is None else self._looked_at
        passed = min(now - since, _LONGEST_TURN)
        self._looked_at = now
        former, self._lives = self._lives, {}
        hung = []
        for child in children:
            life = _after(former.get(child.birth), self._tick_of(child), passed)
            if life.silent >= HUNG:
                hung.append(child)
                life = _Life(life.tick, 0.0)
            self._lives[child.birth] = life
        return hung


def _after(life: _Life | None, tick: int, passed: float) -> _Life:
    if life is None or not tick or tick != life.tick:
        return _Life(tick, 0.0)
    return _Life(tick, life.silent + passed)
