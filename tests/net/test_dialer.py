import asyncio
import socket

import pytest

from gatepost.net.address import SocketAddress
from gatepost.net.dialer import DialFailedError, dial, happy_order
from gatepost.net.transport import Connection, Deadlines
from tests.net.conftest import Serve
from tests.support.ports import free_port


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        ([], ()),
        (["192.0.2.1", "192.0.2.2"], ("192.0.2.1", "192.0.2.2")),
        (["192.0.2.1", "192.0.2.2", "::1"], ("192.0.2.1", "::1", "192.0.2.2")),
        (["::1", "::2", "192.0.2.1", "192.0.2.2"], ("::1", "192.0.2.1", "::2", "192.0.2.2")),
    ],
)
def test_families_take_turns(addresses: list[str], order: tuple[str, ...]):
    assert happy_order(addresses) == order


@pytest.mark.parametrize(
    ("host", "source"),
    [("127.0.0.1", None), ("127.0.0.1", "127.0.0.2"), ("::1", None), ("::1", "::1")],
)
async def test_a_call_leaves_from_the_chosen_address(
    open_port: Serve, deadlines: Deadlines, host: str, source: str | None
):
    seen: list[Connection] = []

    async def handle(connection: Connection) -> None:
        seen.append(connection)
        connection.write(b"220\r\n")
        await connection.read()

    port = await open_port(handle, host=host)
    connection = await dial(port.address, source=source, timeout=30, deadlines=deadlines)
    assert await connection.read() == b"220\r\n"
    assert connection.local.host == (source or host)
    assert seen[0].peer == connection.local
    await connection.close()


async def test_nobody_there_is_said(deadlines: Deadlines):
    address = SocketAddress("127.0.0.1", free_port())
    with pytest.raises(DialFailedError, match="connection refused") as caught:
        await dial(address, timeout=30, deadlines=deadlines)
    assert caught.value.address == address
    assert caught.value.reason == "connection refused"
    assert len(deadlines) == 0


async def test_no_answer_is_said_within_the_time(deadlines: Deadlines):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        address = sock.getsockname()
        # A full backlog answers no SYN.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        started = asyncio.get_running_loop().time()
        with pytest.raises(DialFailedError, match="no answer"):
            await dial(SocketAddress(*address), timeout=0.1, deadlines=deadlines)
        assert asyncio.get_running_loop().time() - started < 30
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("host", "source", "words"),
    [
        ("mail.example", None, "not an IP address"),
        ("127.0.0.1", "::1", "other version of IP"),
        ("::1", "127.0.0.1", "other version of IP"),
        ("127.0.0.1", "203.0.113.77", "source address is not one of this machine"),
    ],
)
async def test_what_cannot_be_dialled_is_said(
    deadlines: Deadlines, host: str, source: str | None, words: str
):
    with pytest.raises(DialFailedError, match=words):
        await dial(SocketAddress(host, 9), source=source, timeout=30, deadlines=deadlines)


async def test_a_call_that_is_given_up_leaves_nothing_open(deadlines: Deadlines):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        address = sock.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        task = asyncio.ensure_future(dial(SocketAddress(*address), timeout=60, deadlines=deadlines))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for filler in fillers:
            filler.close()
