"""Content by BDAT (RFC 3030) as a conversation keeps it: memory, time, what is let go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gatepost.wire.smtp import replies
from tests.reception.test_converse import Talk
from tests.reception.test_converse import talk as converse

HEAD = b"From: x@b.test\r\n\r\n"


@asynccontextmanager
async def talk(**limits: Any) -> AsyncIterator[Talk]:
    async with converse(**limits) as it:
        yield it
        if not it.connection.closed:
            await it.ask("QUIT")


async def begin(it: Talk) -> None:
    await it.ask("EHLO c.test")
    await it.ask("MAIL FROM:<a@b.test>")
    await it.ask("RCPT TO:<alice@local.test>")


async def chunk(it: Talk, octets: bytes, *, last: bool = False) -> str:
    await it.connection.send(b"BDAT %d%b\r\n%b" % (len(octets), b" LAST" * last, octets))
    return await it.heard()


async def test_content_in_chunks_is_stored_as_it_came() -> None:
    async with talk() as it:
        await begin(it)
        assert (await chunk(it, HEAD + b".\r")).startswith("250 2.0.0 Chunk")
        assert (await chunk(it, b"\n..\r\n", last=True)).startswith("250 2.0.0 Queued")
        (content,) = it.scene.store.contents.values()
        assert content.endswith(HEAD + b".\r\n..\r\n")
        assert it.scene.memory.used == 0


async def test_what_reset_forgets_is_let_go_before_the_next_message() -> None:
    async with talk() as it:
        await begin(it)
        await chunk(it, b"From: old@b.test\r\n\r\n")
        assert it.scene.memory.used == 20
        await it.connection.send(
            b"RSET\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<alice@local.test>\r\nBDAT %d LAST\r\n%b"
            % (len(HEAD), HEAD)
        )
        assert [(await it.heard())[:3] for _ in range(4)] == ["250"] * 4
        (content,) = it.scene.store.contents.values()
        assert b"old@" not in content
        assert it.scene.memory.used == 0


async def test_a_chunk_beyond_the_memory_is_refused_at_its_end() -> None:
    async with talk() as it:
        it.scene.memory.limit = 1000
        await begin(it)
        await chunk(it, HEAD)
        assert await chunk(it, b"x" * 2000) == replies.NO_MEMORY.octets.decode().strip()
        assert it.scene.memory.used == 0
        assert (await chunk(it, b"y", last=True)).startswith("503 5.5.1 This transaction")
        await begin(it)
        assert (await chunk(it, HEAD, last=True)).startswith("250")


async def test_tiny_chunks_cost_no_more_memory_than_large_ones() -> None:
    async with talk() as it:
        await begin(it)
        await it.connection.send(b"BDAT 2\r\nab" * 5000)
        for _ in range(5000):
            await it.heard()
        assert len(it.conversation._holding.pieces) < 1100
        assert b"".join(it.conversation._holding.pieces) == b"ab" * 5000


async def test_a_pause_between_chunks_is_no_slowness() -> None:
    async with talk(minimum_rate=100) as it:
        await begin(it)
        await chunk(it, HEAD)
        assert not await it.connection.pass_time(290)
        assert (await chunk(it, b"x\r\n", last=True)).startswith("250 2.0.0 Queued")


async def test_who_sends_what_is_thrown_away_is_not_slow() -> None:
    async with talk(minimum_rate=100) as it:
        await it.ask("EHLO c.test")
        await it.connection.send(b"BDAT 100000\r\n")
        for _ in range(10):
            await it.connection.send(b"x" * 10_000)
            assert not await it.connection.pass_time(20)
        assert (await it.heard()).startswith("503 5.5.1 No recipients")


@pytest.mark.parametrize("octets", [b"", b"x"])
async def test_a_chunk_that_does_not_come_is_not_waited_for(octets: bytes) -> None:
    async with talk(minimum_rate=100) as it:
        await begin(it)
        await it.connection.send(b"BDAT 1000\r\n" + octets)
        await it.connection.idle()
        assert await it.connection.pass_time(31)
        await it.ends_with(replies.TOO_SLOW if octets else replies.IDLE_TOO_LONG)
