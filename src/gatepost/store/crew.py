"""Batches on their way at once: where syncs take long, each goes its way in a thread of its own.

One may write its contents while the rows of others are synced. What is done under the lock that
processes share is done in turn, in the order in which the batches came.
"""

import queue
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: So many at once. With syncs of 2 ms and 25 sessions a third one still gains, a fourth does not.
MOST: Final = 3


class Turn:
    """A batch's turn, as a context: it begins when all that came before have had theirs."""

    __slots__ = ("_before", "_is_taken", "over")

    def __init__(self, before: threading.Event | None = None) -> None:
        self._before = before
        self._is_taken = False
        self.over = threading.Event()

    def __enter__(self) -> None:
        self._is_taken = True
        if self._before is not None:
            self._before.wait()

    def __exit__(self, *_: object) -> None:
        self.over.set()

    def give_up(self) -> None:
        """Let others go on, if it was never taken."""
        if not self._is_taken:
            with self:
                pass


class Crew(Generic[T]):
    """Runs batches with their turns. `run` must not raise."""

    def __init__(self, run: Callable[[T, Turn], None], name: str) -> None:
        self._run = run
        self._name = name
        self._batches: queue.SimpleQueue[tuple[T, Turn] | None] = queue.SimpleQueue()
        self._last = Turn()
        self._last.over.set()
        self._count = threading.Condition()
        self._on_their_way = 0
        #: Begun when they are needed.
        self.threads: list[threading.Thread] = []

    @property
    def is_idle(self) -> bool:
        """Whether no batch is on its way."""
        return self._on_their_way == 0

    def put(self, batch: T, *, alone: bool) -> None:
        """Run a batch: here, if it shall be alone and is; else in a thread, when there is room. Called by
        one thread.
        """
        if (alone and self.is_idle) or not self._has_threads():
            self._run(batch, Turn())
            return
        with self._count:
            self._count.wait_for(lambda: self._on_their_way < MOST)
            self._on_their_way += 1
        self._last = turn = Turn(self._last.over)
        self._batches.put((batch, turn))

    def close(self) -> None:
        """Return when all that was put has come to its end."""
        for _ in self.threads:
            self._batches.put(None)
        for thread in self.threads:
            thread.join()

    def _has_threads(self) -> bool:
        """Tell whether all threads are there: a system may have no more to give."""
        try:
            while len(self.threads) < MOST:
                name = f"{self._name}-{len(self.threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self.threads.append(thread)
        except RuntimeError:
            return bool(self.threads)
        return True

    def _work(self) -> None:
        while (work := self._batches.get()) is not None:
            batch, turn = work
            try:
                self._run(batch, turn)
            finally:
                turn.give_up()
                with self._count:
                    self._on_their_way -= 1
                    self._count.notify()
