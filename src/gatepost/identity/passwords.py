"""Passwords hashed and checked with argon2id (RFC 9106), off the event loop.

19 MiB, two passes, one lane: 24 ms a check where we measured. The library's default took 100 to
190 ms, and a dozen logins a second would fill a core.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gatepost.identity.turns import Turns
from gatepost.model.secret import Secret

T = TypeVar("T")

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: How far hashing stands back behind mail, as `nice` counts.
_NICE: Final = 10
#: The verifier of nobody's password, with the costs of `_HASHER`: checked against where there is
#: no account, so that this takes as long as a wrong password.
NOBODY: Final = Secret(
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0ISEhIQ$qet4UOEnY8dkFC/elu1Pjsu0vdbZW3PD1FFQGsIBXjo"
)


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


def _stand_back() -> None:
    """Let the event loops go before this thread, where the system tells threads apart (Linux) and
    lets us: while a hundred cold logins are checked, mail and known passwords do not wait for them.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            nice = os.getpriority(os.PRIO_PROCESS, thread) + _NICE
            os.setpriority(os.PRIO_PROCESS, thread, nice)


class PasswordChecker:
    """Checks passwords in a few threads; argon2 lets go of the interpreter's lock. Clients have
    their turns one after the other.
    """

    def __init__(
        self,
        *,
        threads: int = 2,
        waiting: int = 200,
        verify: Callable[[Secret, str], bool] = verify_password,
    ) -> None:
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="argon2", initializer=_stand_back
        )
        self._turns = Turns(threads, waiting)
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
        return await self._turns.run_in(self._pool, work, client, outdated)

    def close(self) -> None:
        """Let running checks end, drop those that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)
