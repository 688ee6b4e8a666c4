"""Turns: work of which only so much may go on at once, handed out client by client.

A queue that is full says so at once: whoever waits longer than a client's patience would be
worked for in vain. Networks have their turns one after the other, and so have the clients of each:
who sends a thousand guesses, from one address or from all the /64s of his /48, waits behind his own,
and when the queue is full it is his last that goes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import TypeVar

from gatepost.net.address import network_of

T = TypeVar("T")


class BusyError(Exception):
    """So many wait for their turn that this one should come again later."""


class OutdatedError(Exception):
    """While somebody waited for a turn it was settled that nobody wants to know any more."""


_Turn = asyncio.Future[None]


class _Queue:
    """Those of one network who wait, by client."""

    __slots__ = ("_of_clients", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        #: Whose turn comes next is first.
        self._of_clients: dict[str, deque[_Turn]] = {}

    def add(self, client: str, turn: _Turn) -> None:
        self._of_clients.setdefault(client, deque()).append(turn)
        self.waiting += 1

    def next(self) -> _Turn:
        """Take who is next; his client goes behind the others."""
        client = next(iter(self._of_clients))
        queue = self._of_clients.pop(client)
        turn = queue.popleft()
        self.waiting -= 1
        if queue:
            self._of_clients[client] = queue
        return turn

    def longest(self) -> str:
        """Return the client with the most who wait."""
        return max(self._of_clients, key=lambda client: len(self._of_clients[client]))

    def count(self, client: str) -> int:
        """Return how many of a client wait."""
        return len(self._of_clients.get(client, ()))

    def last(self, client: str) -> _Turn:
        """Take the last one of a client."""
        turn = self._of_clients[client][-1]
        self.remove(client, turn)
        return turn

    def remove(self, client: str, turn: _Turn) -> bool:
        """Take one out; False where he does not wait."""
        queue = self._of_clients.get(client)
        if queue is None or turn not in queue:
            return False
        queue.remove(turn)
        self.waiting -= 1
        if not queue:
            del self._of_clients[client]
        return True


class Turns:
    """At most `at_once` have a turn, and `waiting` wait for one."""

    def __init__(self, at_once: int, waiting: int = 200) -> None:
        self._free = min(at_once, at_once + waiting)  # together they are the most
        self._most = waiting
        self._waiting = 0
        #: By network; whose turn comes next is first.
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def turn(
        self, client: str = "", outdated: Callable[[], bool] | None = None
    ) -> AsyncIterator[None]:
        """Have a turn for as long as the block takes.

        Args:
            client: whose turn it is: an address, or what `one_client` says.
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
        network = network_of(client)
        if self._waiting >= self._most:
            self._make_room(network, client)
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(network, _Queue()).add(client, turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(network, client, turn)
            elif turn.exception() is None:
                self._pass_on()
            raise

    def _make_room(self, network: str, client: str) -> None:
        """Send the last one away of the client with the most in the network with the most, unless
        this one's has as many.
        """
        own = self._queues.get(network) or _Queue()
        largest = max(self._queues, key=lambda each: self._queues[each].waiting, default=network)
        if largest == network or self._queues[largest].waiting <= own.waiting + 1:
            largest = network
            if not own.waiting or own.count(own.longest()) <= own.count(client) + 1:
                raise BusyError
        queue = self._queues[largest]
        turn = queue.last(queue.longest())
        self._left(largest)
        if not turn.done():
            turn.set_exception(BusyError())

    def _forget(self, network: str, client: str, turn: _Turn) -> None:
        queue = self._queues.get(network)
        if queue is not None and queue.remove(client, turn):
            self._left(network)

    def _left(self, network: str) -> None:
        """Count one less who waits, of this network."""
        self._waiting -= 1
        if not self._queues[network].waiting:
            del self._queues[network]

    def _pass_on(self, _: object = None) -> None:
        """Hand a turn that is over to the next network."""
        while self._queues:
            network = next(iter(self._queues))
            queue = self._queues[network]
            turn = queue.next()
            self._left(network)
            if queue.waiting:
                self._queues[network] = self._queues.pop(network)  # behind the others
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
