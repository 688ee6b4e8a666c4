"""Every test of this room runs under asyncio and under uvloop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
import uvloop

from gatepost.net.address import SocketAddress
from gatepost.net.certificate import Certificate, make_self_signed, parse_certificate
from gatepost.net.dialer import dial
from gatepost.net.tls import FrontContexts
from gatepost.net.transport import Connection, Deadlines, Handler, Port, bind, serve
from tests.dns_server import DnsServer

Serve = Callable[..., Awaitable[Port]]
Call = Callable[[Port], Awaitable[Connection]]


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificate() -> Certificate:
    return parse_certificate(*make_self_signed(["relay.test", "*.wild.test"]))


@pytest.fixture
def fronts(certificate: Certificate) -> FrontContexts:
    return FrontContexts([certificate])


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines(interval=0.02)


@pytest_asyncio.fixture
async def open_port(deadlines: Deadlines) -> AsyncIterator[Serve]:
    """Serve a handler on a free port of 127.0.0.1; all is stopped, and must be empty, at the end."""
    ports: list[Port] = []

    async def open_one(handler: Handler, host: str = "127.0.0.1") -> Port:
        port = await serve(bind(SocketAddress(host, 0)), handler, deadlines=deadlines)
        ports.append(port)
        return port

    yield open_one
    for port in ports:
        async with asyncio.timeout(30):
            await port.stop()


@pytest_asyncio.fixture
async def call(deadlines: Deadlines) -> AsyncIterator[Call]:
    """Dial a port; connections are dropped at the end."""
    made: list[Connection] = []

    async def call_one(port: Port) -> Connection:
        connection = await dial(port.address, timeout=30, deadlines=deadlines)
        made.append(connection)
        return connection

    yield call_one
    for connection in made:
        connection.abort()


@pytest_asyncio.fixture
async def dns_server() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        yield server
