"""Every dialogue script that needs no staged scene, played to a real node over real sockets."""

import asyncio
import ssl

import pytest

from tests.node.conftest import LOCAL, NodeOf
from tests.node.talk import anyone
from tests.support.dialogue import Script, play, scripts
from tests.support.node import HOST, Node

#: Failures that the scripts make on purpose shall lock nobody out.
LIMITS = """
[limits]
recipients = 100
authentication_failures = 1000
message_size = {message_size}
"""
LIVE = [script for script in scripts() if script.scene.get("mode") != "memory"]


class SocketLine:
    """A script's end of a TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def reply_line(self) -> str | None:
        try:
            async with asyncio.timeout(20):
                line = await self.reader.readline()
        except (ConnectionError, ssl.SSLError):
            return None
        return line.decode("latin-1").removesuffix("\r\n") if line else None

    async def start_tls(self) -> None:
        await self.writer.start_tls(anyone(), server_hostname="relay.test")


async def connect(node: Node, role: str) -> SocketLine:
    port = {
        "submission": node.ports.submission,
        "submissions": node.ports.submissions,
        "mx": node.ports.mx,
    }[role]
    tls = anyone() if role == "submissions" else None
    name = "relay.test" if tls else None
    return SocketLine(
        *await asyncio.open_connection(HOST, port, ssl=tls, server_hostname=name, limit=2**20)
    )


@pytest.mark.rfc("5321#4.1.4")
@pytest.mark.parametrize("script", LIVE, ids=lambda s: s.name)
async def test_dialogue_over_sockets(script: Script, node_of: NodeOf) -> None:
    message_size = script.scene.get("message_size", "10000")
    node = node_of(LOCAL + LIMITS.format(message_size=message_size), workers=2)
    line = await connect(node, script.role)
    try:
        await play(script, line)
    finally:
        line.writer.close()


def test_most_scripts_are_played_over_sockets() -> None:
    assert len(LIVE) >= 15
