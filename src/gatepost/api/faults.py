"""Faults of ours: answered as a problem, and told in the log, but not as often as somebody likes."""

import logging
import time
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatepost.api.problems import answer, fault_of_ours

_log: Final = logging.getLogger(__name__)

#: Seconds for which no other one is told.
_QUIET: Final = 60.0


class Faultless:
    """An application whose exceptions end here."""

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._told_at = -_QUIET
        self._untold = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 500 in the application's place where it has not begun to."""
        has_begun = False

        async def begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, begin)
        except Exception:  # noqa: BLE001 - the top of a request
            self._tell()
            if not has_begun:
                await answer(fault_of_ours())(scope, receive, send)

    def _tell(self) -> None:
        self._untold += 1
        if self._clock() - self._told_at < _QUIET:
            return
        more = f" (and {self._untold - 1} before it)" if self._untold > 1 else ""
        _log.exception("a request met a fault of ours%s", more)
        self._told_at, self._untold = self._clock(), 0
