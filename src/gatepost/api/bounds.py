"""Bounds on what a request may bring: octets, values, and seconds to bring them in."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatepost.api.keys import stranger
from gatepost.api.problems import ProblemError, answer
from gatepost.api.values import has_too_many_values
from gatepost.reception.memory import Memory, Taker
from gatepost.store.protocols import StoreUnavailableError

#: Seconds for a whole body.
_PATIENCE: Final = 60.0
#: In base64 a message is larger by a third; its envelope comes beside it.
_ENVELOPE: Final = 512 * 1024
#: Octets of all bodies under way together, or four of full size. One key has half of it, and always
#: leaves as much to others as it holds.
_MEMORY: Final = 256 * 2**20
#: Octets of a body that are read before the key is looked at.
_STRANGERS: Final = 64 * 1024
#: Values beside the recipients of a message. As Python has it, an empty object takes twenty times its
#: octets.
_BESIDE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many octets and how many values, as JSON, a request's body may have."""

    octets: int
    values: int


def bounds_for(message_size: int, recipients: int) -> Bounds:
    """Return the bounds for messages of at most so many octets, and so many recipients."""
    return Bounds(message_size * 4 // 3 + _ENVELOPE, recipients + _BESIDE)


class Bounded:
    """An application behind bounds. `knows` tells whether an Authorization field has a good key."""

    def __init__(
        self, app: ASGIApp, bounds: Bounds, *, knows: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._app = app
        self._octets = bounds.octets
        self._values = bounds.values
        self._knows = knows
        self._memory = Memory(max(_MEMORY, 4 * bounds.octets))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in the application's place when a request goes beyond."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._octets:
            await self._refuse(413, scope, receive, send)
            return
        if b"content-length" in headers and b"transfer-encoding" in headers:
            await self._refuse(400, scope, receive, send)  # by a proxy, one in another
            return
        held: list[int] = []
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        taker = Taker(authorization, is_known=bool(authorization))
        try:
            body = await self._body(receive, held, taker)
            if isinstance(body, int):
                await self._refuse(body, scope, receive, send)
                return
            replay = iter((body,))

            async def again() -> Message:
                return next(replay, None) or await receive()

            await self._app(scope, again, send)
        finally:
            self._memory.give(sum(held), taker)

    async def _body(self, receive: Receive, held: list[int], taker: Taker) -> Message | int:
        """Return the whole body as one message, or the status that refuses it. What it takes of
        the memory for bodies is told to `held`.
        """
        pieces, size, is_known = [], 0, False
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return message
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > self._octets:
                        return 413
                    if len(pieces[-1]) > self._memory.left(taker):
                        return 503
                    held.append(len(pieces[-1]))
                    self._memory.take(held[-1], taker)
                    if size > _STRANGERS and not is_known:
                        is_known = await self._knows(taker.name)
                        if not is_known:
                            return 401
                    if not message.get("more_body"):
                        return await self._whole(b"".join(pieces))
        except TimeoutError:
            return 408
        except StoreUnavailableError:
            return 503

    async def _refuse(self, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        if status == 401:
            await answer(stranger(close=True))(scope, receive, send)
            return
        title = {
            400: "Content-Length and Transfer-Encoding do not go together",
            408: "The body came too slowly",
            413: f"At most {self._octets} octets",
            422: f"At most {self._values} values, recipients among them",
            503: "Too much at once: try again soon",
        }[status]
        problem = ProblemError(status, title, headers={"Connection": "close"})
        await answer(problem)(scope, receive, send)

    async def _whole(self, body: bytes) -> Message | int:
        if await has_too_many_values(body, self._values):
            return 422
        return {"type": "http.request", "body": body, "more_body": False}
