"""One look at a password for all who log in with it at the same moment.

After a restart nobody's password is known to have been right, and a program's fifty sessions come
back at once: one of them has the password checked, the others wait for what it comes to. That holds
for wrong passwords and for names that nobody has as well, so that its time tells nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable


class SharedChecks:
    """The checks under way of one event loop, by what is checked."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}

    async def run(self, mark: bytes, check: Callable[[], Awaitable[bool]]) -> bool:
        """Return what `check` says, or what that of another one says that is under way.

        Where that one is given up (its client has gone, or had to wait too long), the next makes its
        own.

        Args:
            mark: what is checked; the same for the same name, password and verifier only.
            check: looks.

        Raises:
            Exception: what the own `check` raised; another's never is.

        """
        while (others := self._under_way.get(mark)) is not None:
            await asyncio.wait([others])
            if not others.cancelled():
                return others.result()
        own = self._under_way[mark] = asyncio.get_running_loop().create_future()
        try:
            is_right = await check()
            own.set_result(is_right)
            return is_right
        finally:
            del self._under_way[mark]
            own.cancel()  # nothing, where it has its result
