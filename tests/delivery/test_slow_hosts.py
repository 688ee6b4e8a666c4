"""A host that says little, or too much, does not hold or confuse us."""

import asyncio
from contextlib import suppress

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.wire.smtp.client_events import Phase
from tests.delivery.rig import Rig


@pytest.mark.parametrize("greets", [True, False])
async def test_a_reply_that_drips_is_not_waited_for_without_end(greets: bool) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if greets:
                writer.write(b"220 hello\r\n")
                await reader.readline()
            for _ in range(400):
                writer.write(b"220-x\r\n" if not greets else b"250-x\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Rig(port, patience={Phase.GREETING: 0.5, Phase.HELLO: 0.5}) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        (one,) = await rig.submit("b@y.example")
        async with asyncio.timeout(30):
            while rig.row(one).last_outcome is None:
                await asyncio.sleep(0.02)
        outcome = rig.row(one).last_outcome
        assert outcome is not None
        assert outcome.text.startswith("no reply in time")
    server.close()


async def test_a_session_with_replies_too_many_is_not_used_again() -> None:
    sessions = 0

    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sessions
        sessions += 1
        writer.write(b"220 hello\r\n")
        in_content = False
        while line := await reader.readline():
            if in_content:
                if line == b".\r\n":
                    in_content = False
                    writer.write(b"250 got it\r\n250 and once more\r\n")
            elif line.startswith(b"DATA"):
                in_content = True
                writer.write(b"354 go on\r\n")
            else:
                writer.write(b"250 fine\r\n")
        writer.close()

    server = await asyncio.start_server(chatty, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Rig(port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        for _ in range(2):
            (row,) = await rig.until_state(await rig.submit("b@y.example"), DeliveryState.DELIVERED)
            assert row.attempts == 1
    assert sessions == 2
    server.close()
