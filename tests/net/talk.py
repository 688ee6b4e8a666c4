"""What tests of connections say and wait for."""

import asyncio

from gatepost.net.tls import FrontContexts, client_context
from gatepost.net.transport import (
    Connection,
)
from tests.net.conftest import Call


async def until(condition, seconds: float = 30.0) -> None:
    """Wait for a condition that the event loop will make true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


async def read_until(connection: Connection, size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        piece = await connection.read()
        if not piece:
            break
        octets += piece
    return octets


async def echo(connection: Connection) -> None:
    while octets := await connection.read():
        connection.write(octets)
        await connection.drain()
    await connection.close()


def tls_echo(fronts: FrontContexts):
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        await connection.start_tls(context, server_side=True)
        await echo(connection)

    return handle


def ehlo_and_echo(fronts: FrontContexts):
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        while (octets := await connection.read()) != b"STARTTLS\r\n":
            connection.write(octets)
        connection.write(b"220\r\n")
        await connection.start_tls(context, server_side=True)
        await echo(connection)

    return handle


async def call_tls(call: Call, port) -> Connection:
    connection = await call(port)
    await connection.start_tls(
        client_context("opportunistic"), server_side=False, server_hostname="relay.test"
    )
    return connection
