"""Bounds on what a request may bring: octets, values, and seconds to bring them in.

Only a good key may bring a body, or a link of ours the small form that it asks for. Anybody else is
answered as if there were none.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatepost.api.places import PLACE, Most, Place, Places
from gatepost.api.problems import ProblemError, answer, store_away
from gatepost.api.values import has_too_many_values
from gatepost.net.address import network_of, one_client
from gatepost.reception.memory import Memory, Taker
from gatepost.store.protocols import StoreUnavailableError

#: Seconds for a whole body with a key, and for a form.
_PATIENCE: Final = 60.0
_STRANGERS_PATIENCE: Final = 5.0
#: In base64 a message is larger by a third; its envelope comes beside it.
_ENVELOPE: Final = 512 * 1024
#: Octets of all bodies under way together, or four of full size. One key has half of it, and always
#: leaves as much to others as it holds.
_MEMORY: Final = 256 * 2**20
#: Values beside the recipients of a message. As Python has it, an empty object takes twenty times its
#: octets.
_BESIDE: Final = 10_000
#: Bodies with keys under way at once (of 500 connections), and of one key.
_KEYED: Final = Most(in_all=400, of_network=400, of_client=100)
#: Strangers' bodies that are waited for at once, as forms or to drop them.
_STRANGERS: Final = Most(in_all=100, of_network=50, of_client=20)
#: Seconds and octets for which the rest of a body is waited for behind the answer.
_LINGER: Final = 1.0
_REST: Final = 64 * 1024
#: Digits of a Content-Length that is looked at.
_LONGEST_LENGTH: Final = 18


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many octets and how many values, as JSON, a request's body may have."""

    octets: int
    values: int


def bounds_for(message_size: int, recipients: int) -> Bounds:
    """Return the bounds for messages of at most so many octets, and so many recipients."""
    return Bounds(message_size * 4 // 3 + _ENVELOPE, recipients + _BESIDE)


@dataclass(frozen=True, slots=True)
class Doors:
    """Who may bring a body: `knows` tells whether an Authorization field has a good key, `form` how
    many octets a stranger may bring to a path.
    """

    knows: Callable[[str], Awaitable[bool]]
    form: Callable[[str], int]


class Bounded:
    """An application behind bounds."""

    def __init__(self, app: ASGIApp, bounds: Bounds, doors: Doors) -> None:
        self._app = app
        self._bounds = bounds
        self._doors = doors
        self._memory = Memory(max(_MEMORY, 4 * bounds.octets))
        self._keyed: Counter[str] = Counter()
        self._strangers = Places(_STRANGERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in the application's place when a request goes beyond."""
        headers = dict(scope["headers"])
        length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
        if coding is None and length in {None, b"0"}:
            await self._app(scope, receive, send)
            return
        incoming = _Incoming(receive)
        if coding is not None and length is not None:
            await self._refuse(400, scope, incoming, send)  # by a proxy, one in another
            return
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        try:
            is_known = bool(authorization) and await self._doors.knows(authorization)
        except StoreUnavailableError:
            await self._answer(store_away(), scope, incoming, send)
            return
        if not is_known:
            await self._serve_stranger(scope, incoming, send)
            return
        incoming.rest = self._bounds.octets  # who has a key hears why, however much is coming
        announced = _announced(length)
        if announced > self._bounds.octets:
            await self._refuse(413, scope, incoming, send)
        else:
            taker = Taker(authorization, is_known=True)
            await self._serve_key(taker, announced, scope, incoming, send)

    async def _serve_key(
        self, taker: Taker, announced: int, scope: Scope, incoming: "_Incoming", send: Send
    ) -> None:
        held = [0]
        with self._counted(taker.name, scope) as has_room:
            try:
                fits = has_room and self._hold(announced, taker, held)
                body = await self._body(incoming, taker, held) if fits else 503
                if isinstance(body, int):
                    await self._refuse(body, scope, incoming, send)
                elif not incoming.is_gone:
                    await self._app(scope, _replay(body, incoming), send)
            finally:
                self._memory.give(held[0], taker)

    @contextlib.contextmanager
    def _counted(self, key: str, scope: Scope) -> Iterator[bool]:
        """Count a body of a key, whose connection keeps its place meanwhile, or yield False."""
        if self._keyed[key] >= _KEYED.of_client or self._keyed.total() >= _KEYED.in_all:
            yield False
            return
        place: Place | None = scope.get("state", {}).get(PLACE)
        kept = [place] if place else []
        self._keyed[key] += 1
        for each in kept:
            each.kept += 1
        try:
            yield True
        finally:
            for each in kept:
                each.kept -= 1
            self._keyed[key] -= 1
            if not self._keyed[key]:
                del self._keyed[key]

    async def _body(self, incoming: "_Incoming", taker: Taker, held: list[int]) -> bytes | int:
        """Return the whole body, or the status that refuses it. What it takes of the memory for
        bodies is told to `held`.
        """
        pieces: list[bytes] = []
        octets = 0
        try:
            async with asyncio.timeout(_PATIENCE):
                while not incoming.is_whole:
                    pieces.append(await incoming.piece())
                    octets += len(pieces[-1])
                    if octets > self._bounds.octets:
                        return 413
                    if not self._hold(octets, taker, held):
                        return 503
        except TimeoutError:
            return 408
        body = b"".join(pieces)
        return 422 if await has_too_many_values(body, self._bounds.values) else body

    def _hold(self, octets: int, taker: Taker, held: list[int]) -> bool:
        """Have memory for so many octets of a body, or tell that there is none. What is announced is
        held at once: of bodies that do not all fit some are whole then, else none would be.
        """
        more = max(octets - held[0], 0)
        if more > self._memory.left(taker):
            return False
        self._memory.take(more, taker)
        held[0] += more
        return True

    async def _serve_stranger(self, scope: Scope, incoming: "_Incoming", send: Send) -> None:
        most = self._doors.form(scope["path"])
        body = b""
        try:
            async with self._for_a_while(scope, _STRANGERS_PATIENCE):
                while len(body) < most and not incoming.is_whole:
                    body += await incoming.piece()
        except TimeoutError:
            await self._refuse(408, scope, incoming, send)
            return
        if not incoming.is_gone:
            parting = self._parting(scope, incoming, send)
            await self._app(scope, _replay(body, incoming), parting)

    @contextlib.asynccontextmanager
    async def _for_a_while(self, scope: Scope, seconds: float) -> AsyncIterator[None]:
        """Wait for a stranger for so long, or until others want his place. Raises TimeoutError."""
        host = (scope.get("client") or ("",))[0]
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds) as limit:

            def give_up() -> None:
                if not limit.expired():
                    limit.reschedule(loop.time())

            place = Place(one_client(host), network_of(host), give_up)
            self._strangers.take(place)  # there is always one: none is kept
            try:
                yield
            finally:
                self._strangers.give(place)

    def _parting(self, scope: Scope, incoming: "_Incoming", send: Send) -> Send:
        """Return what sends an answer that comes before the end of the body, and is the last one:
        what is still coming is let come for a while, for if the connection was closed at once, it might
        be reset before the answer is read (RFC 9112 §9.6).
        """
        if incoming.is_whole:
            return send

        async def part(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            elif not message.get("more_body"):
                await send({**message, "more_body": True})
                with contextlib.suppress(TimeoutError):
                    async with self._for_a_while(scope, _LINGER):
                        await incoming.drop()
                message = {"type": "http.response.body"}
            await send(message)

        return part

    async def _refuse(self, status: int, scope: Scope, incoming: "_Incoming", send: Send) -> None:
        title = {
            400: "Content-Length and Transfer-Encoding do not go together",
            408: "The body came too slowly",
            413: f"At most {self._bounds.octets} octets",
            422: f"At most {self._bounds.values} values, recipients among them",
            503: "Too much at once: try again soon",
        }[status]
        await self._answer(ProblemError(status, title), scope, incoming, send)

    async def _answer(
        self, problem: ProblemError, scope: Scope, incoming: "_Incoming", send: Send
    ) -> None:
        await answer(problem)(scope, incoming.receive, self._parting(scope, incoming, send))


@dataclass(slots=True)
class _Incoming:
    """A request's body as it comes: `is_whole` when nothing more does, `is_gone` if the client is;
    `rest`: octets that are waited for behind an answer.
    """

    receive: Receive
    rest: int = _REST
    is_whole: bool = False
    is_gone: bool = False

    async def piece(self) -> bytes:
        """Return the next octets."""
        message = await self.receive()
        self.is_gone = message["type"] != "http.request"
        self.is_whole = not message.get("more_body")
        octets: bytes = message.get("body", b"")
        return octets

    async def drop(self) -> None:
        """Let come what comes, up to `rest`."""
        left = self.rest
        while left > 0 and not self.is_whole:
            left -= len(await self.piece())


def _announced(length: bytes | None) -> int:
    """Return how many octets a Content-Length announces; 0 where that is not known."""
    if length is None or not length.isdigit():
        return 0
    return int(length) if len(length) <= _LONGEST_LENGTH else 1 << 62


def _replay(body: bytes, incoming: _Incoming) -> Receive:
    whole: Message = {"type": "http.request", "body": body, "more_body": False}
    replay = iter((whole,))

    async def receive() -> Message:
        return next(replay, None) or await incoming.receive()

    return receive
