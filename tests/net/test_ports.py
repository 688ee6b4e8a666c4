"""Ports that are served, and addresses that cannot be."""

import asyncio
import socket
from contextlib import suppress

import pytest

from gatepost.net.address import SocketAddress
from gatepost.net.transport import (
    Connection,
    ConnectionLostError,
    PortUnavailableError,
    bind,
)
from tests.net.conftest import Call, Serve
from tests.net.talk import echo, until


async def test_a_handler_that_fails_is_reported_and_the_port_goes_on(open_port: Serve, call: Call):
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    async def handle(connection: Connection) -> None:
        if await connection.read() == b"fail":
            raise LookupError("our own fault")
        connection.write(b"fine")
        await connection.close()

    port = await open_port(handle)
    bad = await call(port)
    bad.write(b"fail")
    with suppress(ConnectionLostError):
        assert await bad.read() == b""
    good = await call(port)
    good.write(b"x")
    assert await good.read() == b"fine"
    assert [type(r["exception"]) for r in reports] == [LookupError]


async def test_a_peer_that_left_is_not_reported(open_port: Serve, call: Call):
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    async def handle(connection: Connection) -> None:
        await connection.read()
        raise ConnectionLostError("left")

    port = await open_port(handle)
    connection = await call(port)
    await connection.close()
    await port.wait_empty()
    assert reports == []


async def test_a_port_that_stops_accepting_keeps_who_is_there(open_port: Serve, call: Call):
    port = await open_port(echo)
    connection = await call(port)
    connection.write(b"1")
    assert await connection.read() == b"1"
    port.stop_accepting()
    connection.write(b"2")
    assert await connection.read() == b"2"
    await until(lambda: not _listens(port.address.port))
    await connection.close()
    await asyncio.wait_for(port.wait_empty(), 30)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def test_stopping_a_port_cancels_its_handlers(open_port: Serve, call: Call):
    port = await open_port(echo)
    connection = await call(port)
    await until(lambda: len(port) == 1)
    await port.stop()
    assert len(port) == 0
    with suppress(ConnectionLostError):
        assert await connection.read() == b""


def test_an_address_in_use_is_said_with_the_mend():
    with bind(SocketAddress("127.0.0.1", 0)) as sock:
        sock.listen()
        address = SocketAddress("127.0.0.1", sock.getsockname()[1])
        with pytest.raises(PortUnavailableError, match=r"in use.*stop the program"):
            bind(address)


@pytest.mark.parametrize("address", ["203.0.113.77:0", "no-such-name.invalid:0", "[2001:db8::1]:0"])
def test_an_address_that_is_not_ours_is_said(address: str):
    host, _, port = address.rpartition(":")
    with pytest.raises(PortUnavailableError, match="cannot listen on"):
        bind(SocketAddress(host.strip("[]"), int(port)))


def test_workers_may_share_a_port():
    with bind(SocketAddress("127.0.0.1", 0), share=True) as one:
        port = one.getsockname()[1]
        with bind(SocketAddress("127.0.0.1", port), share=True) as two:
            assert two.proto == socket.IPPROTO_TCP
