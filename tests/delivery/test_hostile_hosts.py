"""Whatever a host says: only a "yes" to the final dot, after it, is a delivery, and nobody is lost."""

import asyncio
import logging

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.wire.smtp.client_events import Phase
from tests.delivery.rig import Rig, one_mx
from tests.hostile_server import HostileServer
from tests.sink import Sink

MESSAGES = 24
#: Long enough for a loaded machine to answer in; silence costs as long.
PATIENCE = dict.fromkeys(Phase, 1.0)
BOUNDS = Bounds(look=0.02, dial=5.0, rest=0.05, longest_rest=0.1)


@pytest.mark.rfc("5321#4.1.1.4", "5321#6.1")
@pytest.mark.parametrize("seed", range(6))
async def test_only_who_was_taken_is_delivered_and_nobody_is_lost(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Sink(host="127.0.0.3") as friend,
        HostileServer("127.0.0.2", friend.port, seed, hostile=40) as server,
        Rig(friend.port, bounds=BOUNDS, patience=PATIENCE) as rig,
    ):
        rig.mx("hostile.example", (10, "mx.hostile.example", "127.0.0.2"))
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.3"))
        sent = []
        for number in range(MESSAGES):
            paths = [f"{number}-{n}@hostile.example" for n in range(1 + number % 4)]
            sent += await rig.submit(*paths)
        beside = await rig.submit("b@y.example")
        await rig.until_state(beside, DeliveryState.DELIVERED)
        async with asyncio.timeout(90):
            while not all(rig.row(i).state.is_final for i in sent):
                await asyncio.sleep(0.05)
        rows = [rig.row(i) for i in sent]
        taken = {r.forward_path for r in rows if r.state is DeliveryState.DELIVERED}
        assert taken <= server.yes
        assert {r.state for r in rows} <= {DeliveryState.DELIVERED, DeliveryState.REFUSED}
        for row in rows:
            if row.state is DeliveryState.REFUSED:
                assert row.last_outcome is not None
                assert row.last_outcome.code >= 500
        assert len(taken) > 0
        assert server.sessions > 20
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


@pytest.mark.rfc("5321#4.1.1.4")
async def test_a_yes_in_the_midst_of_the_content_is_no_answer_to_its_final_dot() -> None:
    """The server reads no further before its stray reply has come: content is larger than what waits
    on the way.
    """
    said = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        while line := await reader.readline():
            match line[:4].upper():
                case b"EHLO":
                    writer.write(b"250-x\r\n250 PIPELINING\r\n")
                case b"DATA":
                    writer.write(b"354 go\r\n")
                    await reader.readexactly(500_000)
                    writer.write(b"250 2.1.5 a late reply to RCPT\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    writer.write(b"550 5.7.1 I do not want it\r\n")
                    said.set()
                case b"QUIT":
                    break
                case _:
                    writer.write(b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**26)
    async with server, Rig(server.sockets[0].getsockname()[1]) as rig:
        one_mx(rig)
        content = b"From: a@x.example\r\n\r\n" + (b"x" * 76 + b"\r\n") * 200_000
        (one,) = await rig.submit("b@y.example", content=content)
        async with asyncio.timeout(30):
            await said.wait()
            event = await rig.until_event(EventKind.DEFERRED)
        assert "before the message had ended: 250 2.1.5 a late reply" in str(event.facts["text"])
        assert rig.row(one).state is not DeliveryState.DELIVERED
