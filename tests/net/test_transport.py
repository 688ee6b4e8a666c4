"""Connections over loopback: clear, back-pressure, ends."""

import asyncio
import socket
import struct

import pytest

from gatepost.net import connection as connection_module
from gatepost.net.landing import LARGE, SMALL
from gatepost.net.tls import FrontContexts
from gatepost.net.transport import (
    Connection,
    ConnectionLostError,
)
from tests.net.conftest import Call, Serve
from tests.net.talk import call_tls, echo, read_until, until


async def test_octets_go_there_and_back(open_port: Serve, call: Call):
    port = await open_port(echo)
    connection = await call(port)
    connection.write(b"hel")
    connection.write(b"lo")
    assert await read_until(connection, 5) == b"hello"
    assert connection.peer == port.address
    assert connection.local.host == "127.0.0.1"
    assert connection.tls is None
    assert len(port.connections) == 1
    await connection.close()
    await port.wait_empty()


async def test_ipv6_goes_as_well(open_port: Serve, call: Call):
    port = await open_port(echo, host="::1")
    connection = await call(port)
    connection.write(b"x")
    assert await connection.read() == b"x"
    assert str(connection.peer).startswith("[::1]:")


async def test_what_is_written_between_two_reads_is_one_flight(open_port: Serve, call: Call):
    wrote: list[bytes] = []

    async def handle(connection: Connection) -> None:
        real = connection._transport.write
        connection._transport = _Spy(connection._transport, wrote)
        for word in (b"250-a\r\n", b"250-b\r\n", b"250 c\r\n"):
            connection.write(word)
        assert not wrote
        await connection.read()
        real(b"")

    port = await open_port(handle)
    connection = await call(port)
    assert await read_until(connection, 21) == b"250-a\r\n250-b\r\n250 c\r\n"
    assert wrote == [b"250-a\r\n250-b\r\n250 c\r\n"]


class _Spy:
    def __init__(self, transport, wrote):
        self._transport = transport
        self._wrote = wrote

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, octets):
        self._wrote.append(octets)
        self._transport.write(octets)


async def test_nagles_algorithm_is_off(open_port: Serve, call: Call):
    options: list[int] = []

    async def handle(connection: Connection) -> None:
        sock = connection._transport.get_extra_info("socket")
        options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await connection.read()

    port = await open_port(handle)
    connection = await call(port)
    await until(lambda: options)
    sock = connection._transport.get_extra_info("socket")
    assert options[0]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_peer_that_half_closes_still_hears_the_answer(open_port: Serve):
    port = await open_port(echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
    writer.write(b"QUIT\r\n")
    writer.write_eof()
    assert await reader.read() == b"QUIT\r\n"
    writer.close()


async def test_the_end_is_empty_octets_again_and_again(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        connection.write(b"bye")
        await connection.close()

    connection = await call(await open_port(handle))
    assert await read_until(connection, 10) == b"bye"
    assert await connection.read() == b""
    assert await connection.read() == b""
    assert not connection.is_open


async def test_a_reset_is_a_lost_connection(open_port: Serve, call: Call):
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def handle(connection: Connection) -> None:
        try:
            await connection.read()
        except ConnectionLostError as problem:
            outcome.set_result(problem)

    port = await open_port(handle)
    sock = socket.create_connection(("127.0.0.1", port.address.port))
    await until(lambda: len(port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert isinstance(await asyncio.wait_for(outcome, 30), ConnectionLostError)


async def test_writing_to_a_lost_connection_is_no_error_until_one_waits(
    open_port: Serve, call: Call
):
    connection = await call(await open_port(echo))
    connection.abort()
    await until(lambda: connection._lost)
    connection.write(b"x" * 100_000)
    connection.flush()
    with pytest.raises(ConnectionLostError):
        await connection.drain()
    with pytest.raises(ConnectionLostError):
        await connection.read()
    await connection.close()


async def test_last_words_reach_a_peer_that_is_still_talking(open_port: Serve):
    async def handle(connection: Connection) -> None:
        await until(lambda: connection.unread > SMALL)
        connection.write(b"421 4.7.0 enough\r\n")
        await connection.close()

    port = await open_port(handle)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
    writer.write(b"x" * 2_000_000)
    assert await reader.read() == b"421 4.7.0 enough\r\n"
    writer.close()


# -- back-pressure


@pytest.mark.parametrize(
    ("in_content", "most"),
    # One more read of the loop's own may have been on its way.
    [(True, connection_module.READ_HIGH + LARGE), (False, 2 * SMALL)],
)
async def test_a_peer_that_is_not_read_is_held_back(
    open_port: Serve, call: Call, in_content: bool, most: int
):
    held: list[Connection] = []
    go_on = asyncio.Event()

    async def handle(connection: Connection) -> None:
        connection.in_content = in_content
        held.append(connection)
        await go_on.wait()
        total = 0
        while octets := await connection.read():
            total += len(octets)
        connection.write(str(total).encode())
        await connection.close()

    connection = await call(await open_port(handle))
    size = 8 * 2**20
    connection.write(b"x" * size)
    connection.flush()
    await until(lambda: held and held[0]._reading_paused)
    assert held[0].unread <= most
    go_on.set()
    await connection.drain()
    connection._transport.write_eof()
    assert int(await connection.read()) == size


@pytest.mark.parametrize("over_tls", [False, True])
async def test_a_peer_that_does_not_read_stops_the_writer(
    open_port: Serve, call: Call, fronts: FrontContexts, over_tls: bool
):
    peaks: list[int] = []
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        if over_tls:
            await connection.start_tls(context, server_side=True)
        piece = b"x" * 65536
        while True:
            connection.write(piece)
            peaks.append(connection._transport.get_write_buffer_size())
            await connection.drain()

    port = await open_port(handle)
    connection = await (call_tls(call, port) if over_tls else call(port))
    connection._transport.pause_reading()
    (theirs,) = port.connections
    await until(lambda: theirs._drainer is not None)
    assert max(peaks) < 512 * 1024
    connection._transport.resume_reading()
    await read_until(connection, 100)


@pytest.mark.rfc("2920#3.2")
async def test_a_client_that_ignores_its_replies_is_not_heard(open_port: Serve):
    async def handle(connection: Connection) -> None:
        while octets := await connection.read():
            connection.write(octets * 20)

    port = await open_port(handle)
    sock = socket.create_connection(("127.0.0.1", port.address.port))
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    sending = asyncio.ensure_future(loop.sock_sendall(sock, b"NOOP\r\n" * 5_000_000))
    await until(lambda: len(port))
    (theirs,) = port.connections
    await until(lambda: theirs._drainer is not None and theirs._reading_paused)
    assert theirs._transport.get_write_buffer_size() < 20 * 3 * SMALL
    assert theirs.unread <= 2 * SMALL
    assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    sock.close()
