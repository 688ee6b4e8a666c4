"""Turns: work of which only so much may go on at once, handed out client by client.

A queue that is full says so at once: whoever waits longer than a client's patience would be
worked for in vain. Clients have their turns one after the other: who sends a thousand guesses
waits behind his own, and when the queue is full it is his last that goes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """So many wait for their turn that this one should come again later."""


class OutdatedError(Exception):
    """While somebody waited for a turn it was settled that nobody wants to know any more."""


class Turns:
    """At most `at_once` have a turn, and `waiting` wait for one."""

    def __init__(self, at_once: int, waiting: int = 200) -> None:
        self._free = min(at_once, at_once + waiting)  # together they are the most
        self._most = waiting
        self._waiting = 0
        #: Whose turn comes next is first.
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(
        self, client: str = "", outdated: Callable[[], bool] | None = None
    ) -> AsyncIterator[None]:
        """Have a turn for as long as the block takes.

        Args:
            client: whose turn it is.
            outdated: asked when it has waited; True: nobody wants to know any more.

        Raises:
            BusyError: too many wait.
            OutdatedError: as `outdated` said.

        """
        await self._take(client, outdated)
        try:
            yield
        finally:
            self._pass_on()

    async def run_in(
        self,
        pool: Executor,
        work: Callable[[], T],
        client: str = "",
        outdated: Callable[[], bool] | None = None,
    ) -> T:
        """Run work in a thread, which has the turn until it ends: also when the one who asked has
        gone meanwhile.

        Raises:
            BusyError, OutdatedError: as `turn` does.
            Exception: whatever the work raised.

        """
        await self._take(client, outdated)
        future = asyncio.get_running_loop().run_in_executor(pool, work)
        future.add_done_callback(self._pass_on)
        return await asyncio.shield(future)

    async def _take(self, client: str, outdated: Callable[[], bool] | None) -> None:
        if self._free:
            self._free -= 1
            return
        await self._wait(client)
        if outdated is not None and outdated():
            self._pass_on()
            raise OutdatedError

    async def _wait(self, client: str) -> None:
        """Wait until a turn is handed over to this client."""
        if self._waiting >= self._most:
            self._make_room(client)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, deque()).append(turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(client, turn)
            elif turn.exception() is None:
                self._pass_on()
            raise

    def _make_room(self, client: str) -> None:
        """Send the last one of the longest queue away, unless this client's is as long."""
        longest = max(self._queues.values(), key=len, default=deque())
        if len(longest) <= len(self._queues.get(client, ())) + 1:
            raise BusyError
        turn = longest.pop()
        self._waiting -= 1
        if not turn.done():
            turn.set_exception(BusyError())

    def _forget(self, client: str, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(client)
        if queue is None or turn not in queue:
            return
        queue.remove(turn)
        self._waiting -= 1
        if not queue:
            del self._queues[client]

    def _pass_on(self, _: object = None) -> None:
        """Hand a turn that is over to the next client."""
        while self._queues:
            client = next(iter(self._queues))
            queue = self._queues.pop(client)
            turn = queue.popleft()
            self._waiting -= 1
            if queue:
                self._queues[client] = queue  # behind the others
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
