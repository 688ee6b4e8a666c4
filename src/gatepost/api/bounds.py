"""Bounds on what a request may bring: octets, and seconds to bring them in."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatepost.api.problems import ProblemError, answer

#: Seconds for a whole body.
_PATIENCE: Final = 60.0
#: In base64 a message is larger by a third; its envelope comes beside it.
_ENVELOPE: Final = 512 * 1024
#: Octets of all bodies under way together, or four of full size: strangers may send them, too.
_MEMORY: Final = 256 * 2**20


def largest_body(message_size: int) -> int:
    """Return how many octets a request's body may have, for messages of at most so many."""
    return message_size * 4 // 3 + _ENVELOPE


class Bounded:
    """An application behind bounds."""

    def __init__(self, app: ASGIApp, *, octets: int) -> None:
        self._app = app
        self._octets = octets
        self._memory = max(_MEMORY, 4 * octets)
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, 408 or 503 in the application's place when a request goes beyond."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._octets:
            await self._refuse(413, scope, receive, send)
            return
        held: list[int] = []
        try:
            body = await self._body(receive, held)
            if isinstance(body, int):
                await self._refuse(body, scope, receive, send)
                return
            replay = iter((body,))

            async def again() -> Message:
                return next(replay, None) or await receive()

            await self._app(scope, again, send)
        finally:
            self._held -= sum(held)

    async def _body(self, receive: Receive, held: list[int]) -> Message | int:
        """Return the whole body as one message, or the status that refuses it. What it takes of
        the memory for bodies is told to `held`.
        """
        pieces, size = [], 0
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return message
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    held.append(len(pieces[-1]))
                    self._held += held[-1]
                    if size > self._octets:
                        return 413
                    if self._held > self._memory:
                        return 503
                    if not message.get("more_body"):
                        body = b"".join(pieces)
                        return {"type": "http.request", "body": body, "more_body": False}
        except TimeoutError:
            return 408

    async def _refuse(self, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        title = {
            408: "The body came too slowly",
            413: f"At most {self._octets} octets",
            503: "Too much at once: try again soon",
        }[status]
        problem = ProblemError(status, title, headers={"Connection": "close"})
        await answer(problem)(scope, receive, send)
