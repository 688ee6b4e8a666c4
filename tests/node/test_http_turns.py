"""Requests are parsed a stretch at a time: what has come at once holds up nobody else."""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from gatepost.node.http_turns import InTurns, stretch_of

HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire(asyncio.Transport):
    """What would be a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path and the body."""
    body, more = scope["path"].encode(), True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def connected() -> tuple[InTurns, Wire]:
    config = uvicorn.Config(echo, ws="none", lifespan="off", log_config=None, access_log=False)
    connection, wire = InTurns(config, ServerState(), {}), Wire()
    connection.connection_made(wire)
    return connection, wire


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0)


def answers(octets: bytes, count: int) -> list[bytes]:
    """Return the bodies of so many answers."""
    client = h11.Connection(h11.CLIENT)
    client.receive_data(octets)
    found = []
    for _ in range(count):
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        body = b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            body += bytes(event.data) if isinstance(event, h11.Data) else b""
        found.append(body)
        client.start_next_cycle()
    return found


async def test_what_came_at_once_is_parsed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    connection, wire = connected()
    seen = []
    parse = connection.conn.next_event
    monkeypatch.setattr(connection.conn, "next_event", lambda: seen.append(1) or parse())
    chunks = 5000
    body = b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
    connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert wire.is_paused
    most = 0
    while not wire.written:
        before = len(seen)
        await asyncio.sleep(0)
        most = max(most, len(seen) - before)
    assert 0 < most <= 100
    assert len(seen) > chunks
    assert answers(wire.written, 1) == [b"/x" + b"x" * chunks]
    await until(lambda: not wire.is_paused)


async def test_requests_behind_each_other_are_answered_in_their_order() -> None:
    connection, wire = connected()
    count = 300
    connection.data_received(b"".join(GET % n for n in range(count)))
    assert wire.is_paused
    await until(lambda: wire.written.count(b"HTTP/1.1 200") == count and not wire.is_paused)
    assert answers(wire.written, count) == [b"/%d" % n for n in range(count)]
    assert not connection.is_behind


async def test_a_body_that_nobody_asks_for_is_let_come_later() -> None:
    connection, wire = connected()
    asked = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await asked.wait()
        await echo(scope, receive, send)

    connection.app = late
    body = b"x" * 10_000_000
    connection.data_received(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    for _ in range(100):
        await asyncio.sleep(0)
    assert wire.is_paused
    assert len(connection.cycle.body) < 200_000
    asked.set()
    await until(lambda: len(wire.written) > len(body))
    assert answers(wire.written, 1) == [b"/x" + body]
    await until(lambda: not wire.is_paused)


async def test_behind_what_is_no_http_nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    connection, wire = connected()
    connection.data_received(b"nonsense\r\n\r\n" * 1000)
    parsed: list[int] = []
    monkeypatch.setattr(connection.conn, "next_event", lambda: parsed.append(1))
    for _ in range(10):
        await asyncio.sleep(0)
    assert wire.is_closed
    assert not parsed
    connection.connection_lost(None)
    assert not connection.is_behind


@given(
    octets=st.binary(max_size=300) | st.lists(st.sampled_from([b"a", b"\n", b"\r\n"])).map(b"".join)
)
def test_a_stretch_is_never_nothing(octets: bytes) -> None:
    end = stretch_of(octets)
    assert bool(end) == bool(octets)
    assert octets[:end].count(b"\n") <= 100
    assert end == len(octets) or octets[:end].count(b"\n") == 100


@pytest.mark.parametrize(("octets", "end"), [(b"x" * 99_999, 16_384), (b"x\n" * 9999, 200)])
def test_long_lines_and_many(octets: bytes, end: int) -> None:
    assert stretch_of(octets) == end
