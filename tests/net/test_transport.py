"""Connections over loopback: clear, TLS, back-pressure, deadlines, ends."""

import asyncio
import logging
import socket
import ssl
import struct
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.net import connection as connection_module
from gatepost.net.address import SocketAddress
from gatepost.net.dialer import dial
from gatepost.net.tls import FrontContexts, client_context
from gatepost.net.transport import (
    Connection,
    ConnectionLostError,
    DeadlineError,
    Deadlines,
    PortUnavailableError,
    TlsFailedError,
    bind,
    serve,
)
from tests.net.conftest import Call, Serve
from tests.support.self_signed import self_signed


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


# -- clear


async def test_octets_go_there_and_back(open_port: Serve, call: Call):
    port = await open_port(echo)
    connection = await call(port)
    connection.write(b"hel")
    connection.write(b"lo")
    assert await read_until(connection, 5) == b"hello"
    assert connection.peer == port.address
    assert connection.local.host == "127.0.0.1"
    assert connection.tls is None
    assert len(port.connections) == 1
    await connection.close()
    await port.wait_empty()


async def test_ipv6_goes_as_well(open_port: Serve, call: Call):
    port = await open_port(echo, host="::1")
    connection = await call(port)
    connection.write(b"x")
    assert await connection.read() == b"x"
    assert str(connection.peer).startswith("[::1]:")


async def test_what_is_written_between_two_reads_is_one_flight(open_port: Serve, call: Call):
    wrote: list[bytes] = []

    async def handle(connection: Connection) -> None:
        real = connection._transport.write
        connection._transport = _Spy(connection._transport, wrote)
        for word in (b"250-a\r\n", b"250-b\r\n", b"250 c\r\n"):
            connection.write(word)
        assert not wrote
        await connection.read()
        real(b"")

    port = await open_port(handle)
    connection = await call(port)
    assert await read_until(connection, 21) == b"250-a\r\n250-b\r\n250 c\r\n"
    assert wrote == [b"250-a\r\n250-b\r\n250 c\r\n"]


class _Spy:
    def __init__(self, transport, wrote):
        self._transport = transport
        self._wrote = wrote

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, octets):
        self._wrote.append(octets)
        self._transport.write(octets)


async def test_nagles_algorithm_is_off(open_port: Serve, call: Call):
    options: list[int] = []

    async def handle(connection: Connection) -> None:
        sock = connection._transport.get_extra_info("socket")
        options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await connection.read()

    port = await open_port(handle)
    connection = await call(port)
    await until(lambda: options)
    sock = connection._transport.get_extra_info("socket")
    assert options[0]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_peer_that_half_closes_still_hears_the_answer(open_port: Serve):
    port = await open_port(echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
    writer.write(b"QUIT\r\n")
    writer.write_eof()
    assert await reader.read() == b"QUIT\r\n"
    writer.close()


async def test_the_end_is_empty_octets_again_and_again(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        connection.write(b"bye")
        await connection.close()

    connection = await call(await open_port(handle))
    assert await read_until(connection, 10) == b"bye"
    assert await connection.read() == b""
    assert await connection.read() == b""
    assert not connection.is_open


async def test_a_reset_is_a_lost_connection(open_port: Serve, call: Call):
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def handle(connection: Connection) -> None:
        try:
            await connection.read()
        except ConnectionLostError as problem:
            outcome.set_result(problem)

    port = await open_port(handle)
    sock = socket.create_connection(("127.0.0.1", port.address.port))
    await until(lambda: len(port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert isinstance(await asyncio.wait_for(outcome, 30), ConnectionLostError)


async def test_writing_to_a_lost_connection_is_no_error_until_one_waits(
    open_port: Serve, call: Call
):
    connection = await call(await open_port(echo))
    connection.abort()
    await until(lambda: connection._lost)
    connection.write(b"x" * 100_000)
    connection.flush()
    with pytest.raises(ConnectionLostError):
        await connection.drain()
    with pytest.raises(ConnectionLostError):
        await connection.read()
    await connection.close()


async def test_last_words_reach_a_peer_that_is_still_talking(open_port: Serve):
    async def handle(connection: Connection) -> None:
        await connection.read()
        await until(lambda: connection.unread > 100_000)
        connection.write(b"421 4.7.0 enough\r\n")
        await connection.close()

    port = await open_port(handle)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
    writer.write(b"x" * 2_000_000)
    assert await reader.read() == b"421 4.7.0 enough\r\n"
    writer.close()


# -- back-pressure


async def test_a_peer_that_is_not_read_is_held_back(open_port: Serve, call: Call):
    held: list[Connection] = []
    go_on = asyncio.Event()

    async def handle(connection: Connection) -> None:
        held.append(connection)
        await go_on.wait()
        total = 0
        while octets := await connection.read():
            total += len(octets)
        connection.write(str(total).encode())
        await connection.close()

    connection = await call(await open_port(handle))
    size = 8 * 2**20
    connection.write(b"x" * size)
    connection.flush()
    await until(lambda: held and held[0]._reading_paused)
    # One more read of the loop's own buffer may have been on its way.
    assert held[0].unread <= connection_module.READ_HIGH + 256 * 1024
    go_on.set()
    await connection.drain()
    connection._transport.write_eof()
    assert int(await connection.read()) == size


@pytest.mark.parametrize("over_tls", [False, True])
async def test_a_peer_that_does_not_read_stops_the_writer(
    open_port: Serve, call: Call, fronts: FrontContexts, over_tls: bool
):
    peaks: list[int] = []
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        if over_tls:
            await connection.start_tls(context, server_side=True)
        piece = b"x" * 65536
        while True:
            connection.write(piece)
            peaks.append(connection._transport.get_write_buffer_size())
            await connection.drain()

    port = await open_port(handle)
    connection = await (call_tls(call, port) if over_tls else call(port))
    connection._transport.pause_reading()
    (theirs,) = port.connections
    await until(lambda: theirs._drainer is not None)
    assert max(peaks) < 512 * 1024
    connection._transport.resume_reading()
    await read_until(connection, 100)


@pytest.mark.rfc("2920#3.2")
async def test_a_client_that_ignores_its_replies_is_not_heard(open_port: Serve):
    async def handle(connection: Connection) -> None:
        while octets := await connection.read():
            connection.write(octets * 20)

    port = await open_port(handle)
    sock = socket.create_connection(("127.0.0.1", port.address.port))
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    sending = asyncio.ensure_future(loop.sock_sendall(sock, b"NOOP\r\n" * 5_000_000))
    await until(lambda: len(port))
    (theirs,) = port.connections
    await until(lambda: theirs._drainer is not None and theirs._reading_paused)
    assert theirs._transport.get_write_buffer_size() < 16 * 2**20
    assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    sock.close()


# -- deadlines


async def test_a_deadline_wakes_the_reader_who_may_still_speak(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        connection.deadline = asyncio.get_running_loop().time()
        try:
            await connection.read()
        except DeadlineError:
            connection.write(b"421 4.4.2 too slow\r\n")
            await connection.close()

    connection = await call(await open_port(handle))
    assert await read_until(connection, 100) == b"421 4.4.2 too slow\r\n"


async def test_a_deadline_strikes_a_peer_that_never_stops_talking(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        connection.deadline = asyncio.get_running_loop().time()
        try:
            while await connection.read():
                connection.write(b"y")
        except DeadlineError:
            connection.write(b"late")
            await connection.close()

    connection = await call(await open_port(handle))
    octets = b""
    async with asyncio.timeout(30):
        while not octets.endswith(b"late"):
            connection.write(b"x")
            octets += await connection.read()


async def test_a_deadline_wakes_the_drainer(open_port: Serve, call: Call):
    struck = asyncio.Event()

    async def handle(connection: Connection) -> None:
        connection.write(b"x" * 8 * 2**20)
        connection.deadline = asyncio.get_running_loop().time()
        try:
            await connection.drain()
        except DeadlineError:
            struck.set()

    connection = await call(await open_port(handle))
    connection._transport.pause_reading()
    await asyncio.wait_for(struck.wait(), 30)


async def test_a_new_deadline_is_a_new_chance(open_port: Serve, call: Call):
    async def handle(connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.deadline = loop.time()
        with pytest.raises(DeadlineError):
            await connection.read()
        connection.deadline = loop.time() + 60
        connection.write(b"again")
        connection.write(await connection.read())
        await connection.close()

    connection = await call(await open_port(handle))
    assert await read_until(connection, 5) == b"again"
    connection.write(b"!")
    assert await connection.read() == b"!"


async def test_a_deadline_ends_a_handshake_that_does_not_go_on(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    outcome: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        connection.deadline = asyncio.get_running_loop().time()
        try:
            await connection.start_tls(context, server_side=True)
        except DeadlineError as problem:
            connection.write(b"never in clear")
            await connection.close()
            outcome.set_result(problem)

    connection = await call(await open_port(handle))
    connection.write(b"\x16\x03\x01\x02\x00")  # half a ClientHello
    connection.flush()
    assert isinstance(await asyncio.wait_for(outcome, 30), DeadlineError)
    assert await connection.read() == b""


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing(
    open_port: Serve, call: Call, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_module, "CLOSE_GRACE", 0.05)
    closed = asyncio.Event()

    async def handle(connection: Connection) -> None:
        connection.write(b"x" * 16 * 2**20)
        await connection.close()
        closed.set()

    connection = await call(await open_port(handle))
    connection._transport.pause_reading()
    await asyncio.wait_for(closed.wait(), 30)


async def test_the_sweeper_sleeps_when_nobody_is_there(open_port: Serve, call: Call):
    deadlines = Deadlines(interval=0.001)
    port = await serve(bind(SocketAddress("127.0.0.1", 0)), echo, deadlines=deadlines)
    connection = await dial(port.address, timeout=5, deadlines=deadlines)
    await until(lambda: len(deadlines) == 2)
    await connection.close()
    await until(lambda: len(deadlines) == 0 and deadlines._timer is None)
    again = await dial(port.address, timeout=5, deadlines=deadlines)
    assert deadlines._timer is not None
    again.abort()
    await port.stop()


# -- TLS


async def test_tls_carries_octets_and_tells_what_was_agreed(
    open_port: Serve, call: Call, fronts: FrontContexts, certificate
):
    seen: list[Connection] = []
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        await connection.start_tls(context, server_side=True)
        seen.append(connection)
        await echo(connection)

    connection = await call_tls(call, await open_port(handle))
    connection.write(b"hello")
    assert await read_until(connection, 5) == b"hello"
    (theirs,) = seen
    assert connection.tls is not None
    assert theirs.tls is not None
    assert (connection.tls.version, connection.tls.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert theirs.tls.server_name == "relay.test"
    assert theirs.tls.bits == 256
    assert theirs.tls.peer_certificate is None
    assert connection.tls.peer_certificate == ssl.PEM_cert_to_DER_cert(certificate.chain.decode())


async def test_a_large_content_passes_both_ways_through_tls(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    connection = await call_tls(call, await open_port(tls_echo(fronts)))
    content = b"".join(n.to_bytes(4, "big") for n in range(2**19))

    async def send() -> None:
        for start in range(0, len(content), 100_000):
            connection.write(content[start : start + 100_000])
            await connection.drain()

    sending = asyncio.ensure_future(send())
    assert await read_until(connection, len(content)) == content
    await sending


async def test_after_starttls_the_greeting_in_clear_comes_before_the_handshake(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        assert await connection.read() == b"STARTTLS\r\n"
        assert connection.unread == 0
        connection.write(b"220 go\r\n")
        await connection.start_tls(context, server_side=True)
        await echo(connection)

    connection = await call(await open_port(handle))
    connection.write(b"STARTTLS\r\n")
    assert await connection.read() == b"220 go\r\n"
    await connection.start_tls(client_context("opportunistic"), server_side=False)
    connection.write(b"EHLO x\r\n")
    assert await connection.read() == b"EHLO x\r\n"


@pytest.mark.rfc("3207#6")
async def test_octets_behind_starttls_are_seen(open_port: Serve, call: Call):
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    first_was_read = asyncio.Event()

    async def handle(connection: Connection) -> None:
        assert await connection.read() == b"STARTTLS\r\n"
        first_was_read.set()
        await until(lambda: connection.unread > 0)
        seen.set_result(connection.unread)

    connection = await call(await open_port(handle))
    connection.write(b"STARTTLS\r\n")
    connection.flush()
    await first_was_read.wait()
    connection.write(b"MAIL FROM:<>\r\n")
    connection.flush()
    assert await asyncio.wait_for(seen, 30) == 14


@pytest.mark.rfc("3207#6")
async def test_injected_octets_never_become_plaintext(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        await until(lambda: connection.unread == 12)
        try:
            await connection.start_tls(context, server_side=True)
        except TlsFailedError as problem:
            outcome.set_result(problem)
        else:
            outcome.set_result(await connection.read())

    connection = await call(await open_port(handle))
    connection.write(b"MAIL FROM:<>")
    connection.flush()
    assert isinstance(await asyncio.wait_for(outcome, 30), TlsFailedError)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "plain HTTP on a TLS port"),
        (b"EHLO client.example\r\n", "not TLS"),
        (b"\x00" * 64, "not TLS"),
        (b"\x16\x03\x01\x00\x05hello", "not TLS"),
        (b"", "the other side closed the connection"),
        (b"\x16\x03\x01", "the other side closed the connection"),
    ],
)
async def test_a_handshake_that_is_none_fails_with_a_reason(
    open_port: Serve, fronts: FrontContexts, octets: bytes, reason: str, caplog
):
    caplog.set_level(logging.DEBUG)
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        try:
            await connection.start_tls(context, server_side=True)
        except TlsFailedError as problem:
            outcome.set_result(problem.reason)
            connection.write(b"nothing in clear any more")
            await connection.close()

    port = await open_port(handle)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
    writer.write(octets)
    writer.write_eof()
    assert await asyncio.wait_for(outcome, 30) == reason
    assert b"clear" not in await reader.read()
    writer.close()
    await port.wait_empty()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def _old(context: ssl.SSLContext) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def _only(context: ssl.SSLContext, cipher: str) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_old, "protocol too old"),
        (lambda c: _only(c, "ECDHE-RSA-AES128-GCM-SHA256"), "no shared cipher"),
    ],
    ids=["old", "cipher"],
)
async def test_a_client_without_common_ground_is_told(
    open_port: Serve, fronts: FrontContexts, make, reason: str
):
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        try:
            await connection.start_tls(context, server_side=True)
        except TlsFailedError as problem:
            outcome.set_result(problem.reason)
            await connection.close()

    port = await open_port(handle)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    client.set_ciphers("ALL:@SECLEVEL=0")
    make(client)

    def attempt() -> str:
        with socket.create_connection(("127.0.0.1", port.address.port)) as sock:
            try:
                client.wrap_socket(sock)
            except ssl.SSLError as problem:
                return problem.reason
        return ""

    heard = await asyncio.to_thread(attempt)
    assert await asyncio.wait_for(outcome, 30) == reason
    assert "ALERT" in heard


async def test_a_ticket_does_not_wait_for_a_client_that_waits_for_it(open_port: Serve, call: Call):
    # It acknowledges the client's last flight; with Nagle's algorithm on, the client says nothing
    # before that, or for 40 ms.
    fronts = FrontContexts([self_signed("relay.test", kind="RSA")])
    connection = await call_tls(call, await open_port(tls_echo(fronts)))
    assert connection._channel is not None
    session = connection._channel._session

    def has_ticket() -> bool:
        return connection.unread == 0 and session.session.has_ticket

    await until(has_ticket)


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="an acknowledgement of Linux")
@pytest.mark.parametrize("kind", ["EC", "RSA"])
async def test_a_client_with_nagles_algorithm_speaks_at_once(open_port: Serve, kind: str):
    fronts = FrontContexts([self_signed("relay.test", kind=kind)])
    port = await open_port(ehlo_and_echo(fronts))
    client = client_context("opportunistic")

    def waited() -> float:
        with socket.create_connection((port.address.host, port.address.port), 30) as sock:
            for _ in range(20):  # a new connection acknowledges all at once, an old one late
                sock.sendall(b"EHLO x\r\n")
                assert sock.recv(100) == b"EHLO x\r\n"
            sock.sendall(b"STARTTLS\r\n")
            assert sock.recv(100) == b"220\r\n"
            with client.wrap_socket(sock, server_hostname="relay.test") as tls:
                begun = time.monotonic()
                tls.sendall(b"EHLO x\r\n")
                assert tls.recv(100) == b"EHLO x\r\n"
                return time.monotonic() - begun

    # The machine may be slow, for a time or two; a late acknowledgement comes late each time.
    assert min([await asyncio.to_thread(waited) for _ in range(12)]) < 0.03


async def test_garbage_within_tls_breaks_the_connection(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    outcome: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        await connection.start_tls(context, server_side=True)
        try:
            await connection.read()
        except ConnectionLostError as problem:
            outcome.set_result(problem)

    connection = await call_tls(call, await open_port(handle))
    connection._transport.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert isinstance(await asyncio.wait_for(outcome, 30), ConnectionLostError)


async def test_a_flood_of_key_updates_is_ended(open_port: Serve, call: Call, fronts: FrontContexts):
    # Without a way to ask OpenSSL for them from here, the bound itself is shown: what TLS owes by
    # itself may not grow.
    connection = await call_tls(call, await open_port(tls_echo(fronts)))
    assert connection._channel is not None
    connection._channel._outgoing.write(b"x" * 5000)
    assert connection.unread == 0
    with pytest.raises(ConnectionLostError, match="key updates"):
        await connection.read()


async def test_taking_leave_of_tls_is_seen_as_an_end(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        await connection.start_tls(context, server_side=True)
        connection.write(b"221 bye\r\n")
        await connection.close()

    connection = await call_tls(call, await open_port(handle))
    assert await connection.read() == b"221 bye\r\n"
    assert await connection.read() == b""
    assert not connection.is_open


async def test_an_idle_client_sees_that_the_server_spoke_or_left(
    open_port: Serve, call: Call, fronts: FrontContexts
):
    context = fronts.new_context()
    speak = asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.start_tls(context, server_side=True)
        connection.write(b"220 hello\r\n")
        connection.flush()
        await speak.wait()
        connection.write(b"421 4.4.2 idle\r\n")
        await connection.close()

    connection = await call_tls(call, await open_port(handle))
    assert await connection.read() == b"220 hello\r\n"
    assert connection.is_open
    assert connection.unread == 0
    speak.set()
    await until(lambda: not connection.is_open)
    assert connection.unread == 16
    assert await connection.read() == b"421 4.4.2 idle\r\n"


@pytest.mark.parametrize("name", ["a" * 70 + ".example", ".example", "x..y"])
async def test_a_name_that_sni_cannot_carry_fails_cleanly(open_port: Serve, call: Call, name: str):
    connection = await call(await open_port(echo))
    with pytest.raises(TlsFailedError, match="server name"):
        await connection.start_tls(
            client_context("opportunistic"), server_side=False, server_hostname=name
        )


async def test_failed_handshakes_leave_nothing_behind(
    open_port: Serve, deadlines: Deadlines, fronts: FrontContexts
):
    context = fronts.new_context()

    async def handle(connection: Connection) -> None:
        try:
            await connection.start_tls(context, server_side=True)
        except TlsFailedError:
            await connection.close()

    port = await open_port(handle)
    for _ in range(50):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
        writer.write(b"\x16\x03\x01nonsense\r\n\r\n")
        writer.close()
    await until(lambda: len(deadlines) == 0)
    await port.wait_empty()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=5))
def test_garbage_to_a_tls_port_never_hangs(fronts_for_garbage: FrontContexts, pieces: list[bytes]):
    async def run() -> None:
        deadlines = Deadlines(interval=0.01)
        context = fronts_for_garbage.new_context()
        ended = asyncio.Event()

        async def handle(connection: Connection) -> None:
            try:
                await connection.start_tls(context, server_side=True)
                await connection.read()
            except (TlsFailedError, ConnectionLostError):
                await connection.close()
            finally:
                ended.set()

        port = await serve(bind(SocketAddress("127.0.0.1", 0)), handle, deadlines=deadlines)
        _reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
        for piece in pieces:
            writer.write(piece)
        writer.write_eof()
        async with asyncio.timeout(30):
            await ended.wait()
            writer.close()
            await port.stop()

    asyncio.run(run())


@pytest.fixture(scope="session")
def fronts_for_garbage(certificate) -> FrontContexts:
    return FrontContexts([certificate])


# -- ports


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
