"""Accepting where nothing can be opened: it rests, tells who waits, and goes on by itself."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gatepost.net import accepting
from gatepost.net.accepting import Accepting, turn_away

FAREWELL = b"421 come again\r\n"


class Poor(socket.socket):
    """A listening socket whose accept fails while `trouble` says so."""

    trouble = 0

    def accept(self):
        if Poor.trouble:
            raise OSError(Poor.trouble, "no more")
        return super().accept()


class Greeter(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"220 hello\r\n")


@pytest_asyncio.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Accepting]:
    monkeypatch.setattr(accepting, "_LOOK", 0.01)
    monkeypatch.setattr(Poor, "trouble", 0)
    with Poor() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        sock.setblocking(False)
        place = Accepting(sock, Greeter, backlog=10, farewell=FAREWELL)
        await place.open()
        yield place
        place.close()


async def first_words(place: Accepting) -> bytes:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(*place._sock.getsockname())
        try:
            return await reader.readline()
        finally:
            writer.close()


async def until_resting(place: Accepting) -> None:
    async with asyncio.timeout(30):
        while place._server is not None:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_it_rests_while_nothing_can_be_opened(place: Accepting, error: int) -> None:
    assert await first_words(place) == b"220 hello\r\n"
    Poor.trouble = error
    await until_resting(place)
    waiting = asyncio.create_task(first_words(place))
    for _ in range(10):
        await asyncio.sleep(0.01)
        assert not waiting.done()
    Poor.trouble = 0
    assert await waiting == b"220 hello\r\n"
    assert await first_words(place) == b"220 hello\r\n"


@pytest.mark.rfc("5321#3.8")
async def test_who_comes_when_hardly_anything_can_be_opened_is_told(
    place: Accepting, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poor.trouble = errno.EMFILE
    await until_resting(place)
    with monkeypatch.context() as scarce:
        scarce.setattr(accepting, "has_room", lambda: False)
        Poor.trouble = 0
        assert await first_words(place) == FAREWELL
        assert await first_words(place) == FAREWELL
    assert await first_words(place) in {b"220 hello\r\n", FAREWELL}
    async with asyncio.timeout(30):
        while await first_words(place) != b"220 hello\r\n":
            pass


def test_who_is_turned_away_hears_why_though_it_spoke_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        with socket.create_connection(door.getsockname(), timeout=30) as early:
            early.sendall(b"GET / HTTP/1.1\r\n\r\n")
            turn_away(door, FAREWELL)
            assert early.recv(100) == FAREWELL
            assert early.recv(100) == b""
        turn_away(door, FAREWELL)  # nobody is there


async def test_a_fault_of_ours_does_not_end_the_watch(
    place: Accepting, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = []

    async def fault() -> None:
        faults.append(1)
        raise RuntimeError

    monkeypatch.setattr(place, "_take_one", fault)
    async with asyncio.timeout(30):
        while len(faults) < 3:
            await asyncio.sleep(0.005)
    assert (await first_words(place)) == b"220 hello\r\n"
