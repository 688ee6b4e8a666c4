"""A listener on real sockets: who is let in, who is told to come again, what others notice."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gatepost.model.settings import LimitSettings
from gatepost.net.address import SocketAddress
from gatepost.net.counters import Counters, Metric, WorkerCounters
from gatepost.net.transport import Deadlines, bind
from gatepost.reception.listener import Listener
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.replies import Reply
from tests.support.reception import Scene


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> str:
        async with asyncio.timeout(30):
            return (await self.reader.readline()).decode().rstrip("\r\n")

    async def ask(self, line: str) -> str:
        self.writer.write(line.encode() + b"\r\n")
        return await self.line()


class Place:
    """One listener and its clients."""

    def __init__(self, role: str, capacity: int, **limits: Any) -> None:
        scene = self.scene = Scene(role)
        scene.limits = LimitSettings(**limits)
        self.table = Counters.create(2)
        self.neighbour: WorkerCounters = self.table.worker(1)
        self.desk = replace(scene.desk(), counters=self.table.worker(0), capacity=lambda: capacity)
        self.listener = Listener(scene.door(), self.desk)

    async def client(self, host: str = "127.0.0.1") -> Client:
        assert self.listener.port is not None
        address = self.listener.port.address
        own = (host, 0)
        return Client(*await asyncio.open_connection(address.host, address.port, local_addr=own))


@asynccontextmanager
async def place(role: str = "mx", *, capacity: int = 1000, **limits: Any) -> AsyncIterator[Place]:
    it = Place(role, capacity, **limits)
    await it.listener.open(bind(SocketAddress("127.0.0.1", 0)), Deadlines(0.02))
    yield it
    assert it.listener.port is not None
    await it.listener.port.stop()
    assert it.table.snapshot()[0] == 0


def words(reply: Reply) -> str:
    return reply.octets.decode().rstrip()


async def test_the_connection_beyond_the_limit_of_its_address_is_told_so_and_closed() -> None:
    async with place(connections_per_address=2) as it:
        first, second = await it.client(), await it.client()
        assert (await first.line()).startswith("220")
        assert (await second.line()).startswith("220")
        third = await it.client()
        assert await third.line() == words(replies.TOO_MANY_CONNECTIONS)
        assert await third.line() == ""
        assert (await first.ask("NOOP")).startswith("250")
        assert (await first.ask("QUIT")).startswith("221")
        assert await first.line() == ""
        fourth = await it.client()
        assert (await fourth.line()).startswith("220")
        assert it.table.total(Metric.TOO_MANY) == 1


async def test_a_network_has_fewer_connections_than_its_addresses_together() -> None:
    async with place(connections_per_address=1, connections_per_network=2) as it:
        it.neighbour.connection_opened("127.0.0.77")
        it.neighbour.connection_opened("127.0.0.78")
        assert await (await it.client()).line() == words(replies.TOO_MANY_CONNECTIONS)
        it.neighbour.connection_closed("127.0.0.78")
        assert (await (await it.client()).line()).startswith("220")
        it.neighbour.connection_closed("127.0.0.77")


async def test_who_lets_an_address_have_more_lets_its_network_have_them() -> None:
    async with place(connections_per_address=3, connections_per_network=1) as it:
        clients = [await it.client() for _ in range(3)]
        for client in clients:
            assert (await client.line()).startswith("220")


async def test_connections_of_other_workers_count() -> None:
    async with place(connections=2) as it:
        it.neighbour.connection_opened("192.0.2.1")
        it.neighbour.connection_opened("192.0.2.2")
        client = await it.client()
        assert await client.line() == words(replies.TOO_MANY_CONNECTIONS)
        it.neighbour.connection_closed("192.0.2.1")
        it.neighbour.connection_closed("192.0.2.2")


async def test_a_worker_without_open_files_to_spare_says_that_it_is_too_busy() -> None:
    async with place(capacity=1) as it:
        first = await it.client()
        assert (await first.line()).startswith("220")
        assert await (await it.client()).line() == words(replies.OVERLOADED)
        assert it.table.total(Metric.OVERLOADED) == 1
        assert (await first.ask("NOOP")).startswith("250")


@pytest.mark.parametrize("bounds", [{"connections": 3}, {"capacity": 3}], ids=min)
async def test_where_all_is_taken_a_stranger_of_the_largest_network_gives_way(
    bounds: dict[str, int],
) -> None:
    async with place(**bounds) as it:
        crowd = [await it.client("127.7.7.1"), await it.client("127.7.7.2")]
        other = await it.client("127.1.1.1")
        for client in (*crowd, other):
            assert (await client.line()).startswith("220")
        newcomer = await it.client("127.2.2.2")
        assert (await newcomer.line()).startswith("220")
        assert await crowd[0].line() == words(replies.TOO_MANY_CONNECTIONS)
        assert await crowd[0].line() == ""
        assert not (await (await it.client("127.7.7.3")).line()).startswith("220")
        for client in (crowd[1], other, newcomer):
            assert (await client.ask("NOOP")).startswith("250")


async def test_who_is_in_the_midst_of_content_gives_way_to_nobody() -> None:
    async with place(connections=2) as it:
        crowd = [await it.client("127.7.7.1"), await it.client("127.7.7.2")]
        for client in crowd:
            await client.line()
            for line in ("HELO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@local.test>"):
                assert (await client.ask(line)).startswith("250")
            assert (await client.ask("DATA")).startswith("354")
        newcomer = await it.client("127.2.2.2")
        assert await newcomer.line() == words(replies.TOO_MANY_CONNECTIONS)
        for client in crowd:
            assert (await client.ask("a: b\r\n\r\n.")).startswith("250 2.0.0 Queued")


async def test_a_handshake_that_does_not_come_gives_way() -> None:
    async with place("submissions", connections=2) as it:
        it.listener.door = replace(it.listener.door, tls=_context)
        crowd = [await it.client("127.7.7.1"), await it.client("127.7.7.2")]
        async with asyncio.timeout(30):
            while it.table.snapshot()[0] < 2:
                await asyncio.sleep(0)
        await it.client("127.2.2.2")
        assert await crowd[0].line() == ""
        async with asyncio.timeout(30):
            while it.table.snapshot()[0] > 2:
                await asyncio.sleep(0)


async def test_who_came_in_the_moment_of_a_stop_is_still_served() -> None:
    async with place() as it:
        it.scene.stopping = True
        assert (await (await it.client()).line()).startswith("220")


async def test_where_tls_comes_first_a_refused_connection_is_closed_without_words_in_clear() -> (
    None
):
    async with place("submissions", connections_per_address=1) as it:
        first = await it.client()
        second = await it.client()
        assert await second.line() == ""
        first.writer.close()


async def test_a_handshake_that_does_not_come_is_given_up() -> None:
    async with place("submissions", handshake=timedelta(milliseconds=100)) as it:
        it.listener.door = replace(it.listener.door, tls=_context)
        client = await it.client()
        assert await client.line() == ""
        client.writer.close()


async def test_stopping_takes_leave_of_idle_connections_and_ends() -> None:
    async with place() as it:
        clients = [await it.client() for _ in range(5)]
        for client in clients:
            assert (await client.line()).startswith("220")
        it.scene.stopping = True
        async with asyncio.timeout(30):
            await it.listener.stop(4)
        assert [await client.line() for client in clients] == [words(replies.STOPPING)] * 5


@pytest.mark.parametrize("role", ["mx", "submissions"])
async def test_a_client_that_goes_at_once_is_counted_out(role: str) -> None:
    async with place(role, handshake=timedelta(seconds=5)) as it:
        it.listener.door = replace(it.listener.door, tls=_context)
        for _ in range(20):
            client = await it.client()
            client.writer.transport.abort()
        assert it.listener.port is not None
        async with asyncio.timeout(30):
            await it.listener.port.wait_empty()
        assert it.table.snapshot()[0] == 0


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
