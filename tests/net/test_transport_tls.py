"""TLS over connections on loopback: handshakes, injected octets, ends."""

import asyncio
import logging
import socket
import ssl
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.net.address import SocketAddress
from gatepost.net.tls import FrontContexts, client_context
from gatepost.net.transport import (
    Connection,
    ConnectionLostError,
    Deadlines,
    TlsFailedError,
    bind,
    serve,
)
from tests.net.conftest import Call, Serve
from tests.net.talk import call_tls, echo, ehlo_and_echo, read_until, tls_echo, until
from tests.support.self_signed import self_signed


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
