"""Who may bring a body, how much of it, and for how long he is waited for."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from gatepost.api.app import build_routes
from gatepost.api.bounds import Bounded, Bounds, Doors
from gatepost.api.places import PLACE, Place
from gatepost.reception.unsubscribe import Subscriber
from tests.api.conftest import APP, Rig

LONG = 30.0
ONE_CLICK = b"List-Unsubscribe=One-Click"


@dataclass
class Slow:
    """A request whose body comes as the test says, and what was answered so far."""

    app: ASGIApp
    path: str
    key: str = ""
    host: str = "192.0.2.7"
    place: Place = field(default_factory=lambda: Place("", "", lambda: None))
    pieces: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    got: list[Message] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    waits: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        headers = [
            (b"content-length", b"26"),
            (b"content-type", b"application/x-www-form-urlencoded"),
        ]
        if self.key:
            headers.append((b"authorization", f"Bearer {self.key}".encode()))
        scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "path": self.path,
            "raw_path": self.path.encode(), "root_path": "", "query_string": b"", "headers": headers,
            "client": (self.host, 4000), "state": {PLACE: self.place},
        }  # fmt: skip
        await self.app(scope, self.receive, self.send)

    async def receive(self) -> Message:
        self.waits.set()
        return await self.pieces.get()

    async def send(self, message: Message) -> None:
        self.got.append(message)
        if message["type"] == "http.response.body":
            self.heard.set()

    def say(self, octets: bytes, *, more: bool = True) -> None:
        self.pieces.put_nowait({"type": "http.request", "body": octets, "more_body": more})

    @property
    def status(self) -> int:
        return int(self.got[0]["status"])

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in self.got[0]["headers"]


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/u/made-up", "", 404),
        ("/v1/messages", "", 401),
        ("/v1/messages", "gp_0123456789ab_guessed", 401),
        ("/none", "", 404),
        ("/healthz", "", 405),
    ],
)
async def test_who_may_bring_no_body_is_answered_before_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, path: str, key: str, status: int
):
    monkeypatch.setattr("gatepost.api.bounds._LINGER", 10 * LONG)
    slow = Slow(rig.app, path, key)
    async with asyncio.timeout(LONG):
        asked = asyncio.create_task(slow.run())
        await slow.heard.wait()
        assert (slow.status, slow.closes) == (status, True)
        assert not asked.done()  # closed at once, the answer might not be read
        slow.say(b"x", more=False)
        await asked
    assert [m.get("more_body", False) for m in slow.got[1:]] == [True, False]


async def test_the_rest_of_a_refused_body_is_waited_for_in_bounds(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    slow = Slow(rig.app, "/v1/messages")
    for _ in range(9):
        slow.say(b"x" * 16384)
    await slow.run()
    assert slow.pieces.qsize() == 5
    monkeypatch.setattr("gatepost.api.bounds._LINGER", 0.01)
    await Slow(rig.app, "/v1/messages").run()


async def test_a_form_comes_in_pieces_and_soon(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    path = rig.intake.links.link(Subscriber(APP, "news", "bob@y.example"))
    slow = Slow(rig.app, path)
    for octet in ONE_CLICK[:-1]:
        slow.say(bytes([octet]))
    slow.say(ONE_CLICK[-1:], more=False)
    await slow.run()
    assert (slow.status, slow.closes) == (200, False)
    monkeypatch.setattr("gatepost.api.bounds._STRANGERS_PATIENCE", 0.01)
    late = Slow(rig.app, path)
    late.say(ONE_CLICK)
    late_end = asyncio.create_task(late.run())
    await late.heard.wait()
    assert (late.status, late.closes) == (408, True)
    late.say(b"", more=False)
    await late_end


async def test_a_client_that_goes_is_not_answered(rig: Rig):
    path = rig.intake.links.link(Subscriber(APP, "news", "bob@y.example"))
    for key in ("", rig.keys["app"]):
        slow = Slow(rig.app, path, key)
        slow.say(ONE_CLICK)
        slow.pieces.put_nowait({"type": "http.disconnect"})
        await slow.run()
        assert not slow.got


async def test_many_that_are_slow_make_room_for_one_that_is_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    for patience in ("_STRANGERS_PATIENCE", "_LINGER"):
        monkeypatch.setattr(f"gatepost.api.bounds.{patience}", 10 * LONG)
    path = rig.intake.links.link(Subscriber(APP, "news", "bob@y.example"))
    crowd = [Slow(rig.app, path, host=f"198.51.{n % 5}.{n % 10}") for n in range(100)]
    tasks = [asyncio.create_task(slow.run()) for slow in crowd]
    async with asyncio.timeout(LONG):
        for slow in crowd:
            await slow.waits.wait()
        quick = Slow(rig.app, path, host="192.0.2.1")
        asked = asyncio.create_task(quick.run())
        await quick.waits.wait()
        await crowd[0].heard.wait()
        assert crowd[0].status == 408
        assert not any(slow.got for slow in crowd[1:])
        quick.say(ONE_CLICK, more=False)
        await asked
        assert quick.status == 200
        for slow in crowd:
            slow.say(b"", more=False)
        await asyncio.gather(*tasks)


async def test_one_key_has_so_many_bodies_under_way_and_they_keep_their_places(rig: Rig):
    crowd = [Slow(rig.app, "/v1/judge", rig.keys["app"]) for _ in range(100)]
    tasks = [asyncio.create_task(slow.run()) for slow in crowd]
    async with asyncio.timeout(LONG):
        for slow in crowd:
            await slow.waits.wait()
        assert {slow.place.kept for slow in crowd} == {1}
        beyond = Slow(rig.app, "/v1/judge", rig.keys["app"])
        beyond.say(b"{}", more=False)
        await beyond.run()
        assert (beyond.status, beyond.place.kept) == (503, 0)
        other = Slow(rig.app, "/v1/judge", rig.keys["other"])
        other.say(b"{}", more=False)
        await other.run()
        assert other.status == 422
        for slow in crowd:
            slow.say(b"{}", more=False)
        await asyncio.gather(*tasks)
    assert {(slow.status, slow.place.kept) for slow in crowd} == {(422, 0)}
    assert rig.app._app._keyed.total() == 0


async def test_while_the_store_is_away_no_body_is_read(rig: Rig):
    await rig.store.close()
    slow = Slow(rig.app, "/v1/judge", rig.keys["app"])
    slow.say(b"", more=False)
    await slow.run()
    assert slow.status == 503
    assert b"Storage is not available" in slow.got[1]["body"]


async def _anybody(_: str) -> bool:
    return True


DOORS = Doors(_anybody, lambda _: 0)


async def test_a_body_that_never_ends_is_let_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gatepost.api.bounds._PATIENCE", 0.01)
    monkeypatch.setattr("gatepost.api.bounds._LINGER", 0.01)
    app = Bounded(build_routes(), Bounds(100, 10), DOORS)
    got: list[Any] = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        got.append(message)

    headers = [(b"content-length", b"9"), (b"authorization", b"a")]
    await app({"type": "http", "headers": headers, "path": "/"}, receive, send)
    assert got[0]["status"] == 408


async def test_no_key_takes_the_memory_for_bodies_from_all_others(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("gatepost.api.bounds._MEMORY", 1)
    monkeypatch.setattr("gatepost.api.bounds._LINGER", 0.01)
    app = Bounded(build_routes(), Bounds(100, 10), DOORS)  # so that 400 is the bound of all
    held, done = asyncio.Semaphore(0), asyncio.Event()

    async def one(octets: int, key: bytes) -> int:
        messages = [{"type": "http.request", "body": b"x" * octets, "more_body": True}]
        statuses: list[int] = []

        async def receive():
            if messages:
                return messages.pop()
            held.release()
            await done.wait()
            return {"type": "http.request", "body": b""}

        async def send(message):
            statuses.append(message.get("status", 0))

        headers = [(b"authorization", key), (b"transfer-encoding", b"chunked")]
        scope = {"type": "http", "headers": headers, "method": "POST", "path": "/none"}
        await app(scope | {"query_string": b"", "root_path": ""}, receive, send)
        return statuses[0]

    async with asyncio.TaskGroup() as group:
        good = [group.create_task(one(100, b"a")), group.create_task(one(100, b"a"))]
        for _ in good:
            await held.acquire()
        assert await one(1, b"a") == 503
        good.append(group.create_task(one(100, b"b")))
        await held.acquire()
        done.set()
    assert [task.result() for task in good] == [404, 404, 404]
    assert app._memory.used == 0


async def test_of_bodies_that_do_not_all_fit_some_are_whole(monkeypatch: pytest.MonkeyPatch):
    """Each had a part of the memory, and all were refused."""
    monkeypatch.setattr("gatepost.api.bounds._MEMORY", 1)
    monkeypatch.setattr("gatepost.api.bounds._LINGER", 0.01)
    app = Bounded(build_routes(), Bounds(100, 10), DOORS)
    waiting, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def one() -> int:
        pieces = [b"x" * 50, b"x" * 50]
        statuses: list[int] = []

        async def receive():
            waiting.release()
            await go_on.wait()
            return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

        async def send(message):
            statuses.append(message.get("status", 0))

        headers = [(b"authorization", b"a"), (b"content-length", b"100")]
        scope = {"type": "http", "headers": headers, "method": "POST", "path": "/none"}
        await app(scope | {"query_string": b"", "root_path": ""}, receive, send)
        return statuses[0]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(5)]
        for _ in tasks:
            await waiting.acquire()
        go_on.set()
    assert [task.result() for task in tasks] == [404, 404, 503, 503, 503]
    assert app._memory.used == 0


async def test_who_has_a_key_is_waited_for_until_he_hears_why(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    """More than a stranger's rest: else the connection is reset before the answer is read."""
    monkeypatch.setattr("gatepost.api.bounds._LINGER", LONG)
    slow = Slow(rig.app, "/v1/messages", rig.keys["app"])
    bounds = rig.app._app._bounds
    slow.say(b"x" * (bounds.octets + 1))
    for _ in range(3):
        slow.say(b"x" * 50_000)
    slow.say(b"", more=False)
    await slow.run()
    assert (slow.status, slow.closes) == (413, True)
    assert slow.pieces.empty()
