"""Passwords hashed and checked with argon2id (RFC 9106), off the event loop.

19 MiB, two passes, one lane: 24 ms a check where we measured. The library's default took 100 to
190 ms, and a dozen logins a second would fill a core.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gatepost.model.secret import Secret

T = TypeVar("T")

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: The verifier of nobody's password, with the costs of `_HASHER`: checked against where there is
#: no account, so that this takes as long as a wrong password.
NOBODY: Final = Secret(
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0ISEhIQ$qet4UOEnY8dkFC/elu1Pjsu0vdbZW3PD1FFQGsIBXjo"
)


class BusyError(Exception):
    """So many passwords wait to be checked that this one should come again later."""


class OutdatedError(Exception):
    """While a password waited to be checked it was settled that nobody wants to know any more."""


def hash_password(password: str) -> Secret:
    """Return a PHC string ($argon2id$…) for a prepared password; takes tens of milliseconds."""
    return Secret(_HASHER.hash(password))


def verify_password(verifier: Secret, password: str) -> bool:
    """Tell whether a prepared password belongs to a PHC string; takes tens of milliseconds.

    Raises:
        ValueError: the verifier is no PHC string of argon2.

    """
    try:
        return _HASHER.verify(verifier.reveal(), password)
    except InvalidHashError as error:
        msg = "a stored verifier is damaged"
        raise ValueError(msg) from error
    except VerificationError:
        return False


class PasswordChecker:
    """Checks passwords in a few threads; argon2 lets go of the interpreter's lock.

    A queue that is full says so at once: whoever waits longer than a client's patience would be
    worked for in vain. Clients have their turns one after the other: who sends a thousand guesses
    waits behind his own, and when the queue is full it is his last that goes.
    """

    def __init__(
        self,
        *,
        threads: int = 2,
        waiting: int = 200,
        verify: Callable[[Secret, str], bool] = verify_password,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._free = min(threads, threads + waiting)  # together they are the most
        self._most = waiting
        self._waiting = 0
        #: Whose turn comes next is first.
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self._verify = verify

    async def verify(
        self,
        verifier: Secret,
        password: str,
        *,
        client: str = "",
        outdated: Callable[[], bool] | None = None,
    ) -> bool:
        """Tell whether a prepared password belongs to a verifier.

        Args:
            verifier: as it is stored.
            password: prepared.
            client: whose turn it takes.
            outdated: asked when the turn has come; True: nobody wants to know any more.

        Raises:
            BusyError: too many wait.
            OutdatedError: as `outdated` said; nothing was checked.
            ValueError: the verifier is damaged.

        """
        return await self._run(lambda: self._verify(verifier, password), client, outdated)

    async def verify_nobody(
        self, password: str, *, client: str = "", outdated: Callable[[], bool] | None = None
    ) -> bool:
        """Take as long as `verify`, and say no.

        Raises:
            BusyError, OutdatedError: as `verify` does.

        """
        await self.verify(NOBODY, password, client=client, outdated=outdated)
        return False

    async def compute(self, work: Callable[[], T]) -> T:
        """Run other slow work in the same threads.

        Raises:
            BusyError: too many wait.

        """
        return await self._run(work)

    async def _run(
        self,
        work: Callable[[], T],
        client: str = "",
        outdated: Callable[[], bool] | None = None,
    ) -> T:
        if self._free:
            self._free -= 1
        else:
            await self._turn(client)
            if outdated is not None and outdated():
                self._pass_on()
                raise OutdatedError
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._pass_on)  # also when the one who asked has gone meanwhile
        return await future

    async def _turn(self, client: str) -> None:
        """Wait until a thread is handed over to this client."""
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
        """Hand a thread that is free to the next client in turn."""
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

    def close(self) -> None:
        """Let running checks end, drop those that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)
