"""Deadlines of connections over loopback."""

import asyncio

import pytest

from gatepost.net import connection as connection_module
from gatepost.net.address import SocketAddress
from gatepost.net.dialer import dial
from gatepost.net.tls import FrontContexts
from gatepost.net.transport import (
    Connection,
    DeadlineError,
    Deadlines,
    bind,
    serve,
)
from tests.net.conftest import Call, Serve
from tests.net.talk import echo, read_until, until


async def test_a_deadline_wakes_the_reader_who_may_still_speak(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        connection.deadline = asyncio.get_running_loop().time()
        try:
            await connection.read()
        except DeadlineError:
            connection.write(b"421 4.4.2 too slow\r\n")
            await connection.close()

    connection = await call(await open_port(handle))
    assert await read_until(connection, 100) == b"421 4.4.2 too slow\r\n"


async def test_a_deadline_strikes_a_peer_that_never_stops_talking(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        connection.deadline = asyncio.get_running_loop().time()
        try:
            while await connection.read():
                connection.write(b"y")
        except DeadlineError:
            connection.write(b"late")
            await connection.close()

    connection = await call(await open_port(handle))
    octets = b""
    async with asyncio.timeout(30):
        while not octets.endswith(b"late"):
            connection.write(b"x")
            octets += await connection.read()


async def test_a_deadline_wakes_the_drainer(open_port: Serve, call: Call):
    struck = asyncio.Event()

    async def handle(connection: Connection) -> None:
        connection.write(b"x" * 8 * 2**20)
        connection.deadline = asyncio.get_running_loop().time()
        try:
            await connection.drain()
        except DeadlineError:
            struck.set()

    connection = await call(await open_port(handle))
    connection._transport.pause_reading()
    await asyncio.wait_for(struck.wait(), 30)


async def test_a_new_deadline_is_a_new_chance(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.deadline = loop.time()
        with pytest.raises(DeadlineError):
            await connection.read()
        connection.deadline = loop.time() + 60
        connection.write(b"again")
        connection.write(await connection.read())
        await connection.close()

    connection = await call(await open_port(handle))
    assert await read_until(connection, 5) == b"again"
    connection.write(b"!")
    assert await connection.read() == b"!"


async def test_a_deadline_ends_a_handshake_that_does_not_go_on(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    outcome: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        connection.deadline = asyncio.get_running_loop().time()
        try:
            await connection.start_tls(context, server_side=True)
        except DeadlineError as problem:
            connection.write(b"never in clear")
            await connection.close()
            outcome.set_result(problem)

    connection = await call(await open_port(handle))
    connection.write(b"\x16\x03\x01\x02\x00")  # half a ClientHello
    connection.flush()
    assert isinstance(await asyncio.wait_for(outcome, 30), DeadlineError)
    assert await connection.read() == b""


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing(
    open_port: Serve, call: Call, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_module, "CLOSE_GRACE", 0.05)
    closed = asyncio.Event()

    async def handle(connection: Connection) -> None:
        connection.write(b"x" * 16 * 2**20)
        await connection.close()
        closed.set()

    connection = await call(await open_port(handle))
    connection._transport.pause_reading()
    await asyncio.wait_for(closed.wait(), 30)


async def test_the_sweeper_sleeps_when_nobody_is_there(open_port: Serve, call: Call):
    deadlines = Deadlines(interval=0.001)
    port = await serve(bind(SocketAddress("127.0.0.1", 0)), echo, deadlines=deadlines)
    connection = await dial(port.address, timeout=5, deadlines=deadlines)
    await until(lambda: len(deadlines) == 2)
    await connection.close()
    await until(lambda: len(deadlines) == 0 and deadlines._timer is None)
    again = await dial(port.address, timeout=5, deadlines=deadlines)
    assert deadlines._timer is not None
    again.abort()
    await port.stop()
