"""Connections that come by a load balancer, on real sockets: whose they are, what is waited for, who is believed."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from gatepost.net.counters import Metric
from gatepost.net.tls import FrontContexts
from gatepost.reception import lobby
from gatepost.wire.smtp import replies
from tests.reception.test_listener import Client, Place, place, words
from tests.support.self_signed import self_signed

BALANCER, OTHER = "127.0.0.9", "127.0.0.10"
SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LOCAL = SIGNATURE + b"\x20\0\0\0"


def line(host: str) -> bytes:
    return f"PROXY TCP{ip_address(host).version} {host} {host} 4711 25\r\n".encode()


def binary(host: str, behind: bytes = b"") -> bytes:
    address = ip_address(host)
    body = address.packed * 2 + struct.pack("!HH", 4711, 25) + behind
    return (
        SIGNATURE
        + struct.pack("!BBH", 0x21, 0x11 if address.version == 4 else 0x21, len(body))
        + body
    )


@asynccontextmanager
async def behind(role: str = "mx", **bounds: int) -> AsyncIterator[Place]:
    async with place(role, **bounds) as it:
        networks = ip_network(f"{BALANCER}/32"), ip_network(f"{OTHER}/32")
        it.listener.door = replace(it.listener.door, balancers=networks)
        yield it


async def passed_on(it: Place, header: bytes, balancer: str = BALANCER) -> Client:
    client = await it.client(balancer)
    client.writer.write(header)
    return client


async def refusals_tell(it: Place, client: Client, host: str) -> None:
    """Have something refused, and see whose address the event has."""
    await client.ask("EHLO c.test")
    while (await client.ask("NOOP")).startswith("250-"):
        pass
    before = len(it.scene.records)
    client.writer.write(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<you@elsewhere.test>\r\n")
    while not (await client.line()).startswith("550 5.7.1"):
        pass
    assert [event.facts["client"] for event in it.scene.records[before:]] == [host]


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("form", [line, binary])
async def test_who_comes_by_a_balancer_is_whom_it_names(host: str, form) -> None:
    async with behind() as it:
        client = await passed_on(it, form(host))
        assert (await client.line()).startswith("220")
        assert it.table.connections_from(host) == 1
        assert it.table.connections_from(BALANCER) == 0
        await refusals_tell(it, client, host)
        assert (await client.ask("QUIT")).startswith("221")


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_a_balancer_s_own_connection_is_its_own(header: bytes) -> None:
    async with behind() as it:
        client = await passed_on(it, header)
        assert (await client.line()).startswith("220")
        await refusals_tell(it, client, BALANCER)


@pytest.mark.parametrize("header", [line("192.0.2.7"), binary("192.0.2.7", b"\4\0\1x" * 40)])
async def test_a_header_may_come_octet_by_octet_and_nobody_is_greeted_before(header: bytes) -> None:
    async with behind() as it:
        client = await it.client(BALANCER)
        for octet in header[:-1]:
            client.writer.write(bytes([octet]))
            await client.writer.drain()
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.05)
        client.writer.write(header[-1:])
        assert (await client.line()).startswith("220")


async def test_what_comes_with_the_header_is_the_client_s() -> None:
    async with behind() as it:
        client = await passed_on(it, line("192.0.2.7") + b"HELO c.test\r\nNOOP\r\n")
        assert (await client.line()).startswith("220")
        assert (await client.line()).startswith("250 relay.test")
        assert (await client.line()).startswith("250 2.0.0")
        # Who is behind the balancer cannot name himself.
        assert (await client.ask(line("203.0.113.1").decode().rstrip())).startswith("500 ")
        await refusals_tell(it, client, "192.0.2.7")


@pytest.mark.parametrize("form", [line, binary])
async def test_a_handshake_may_begin_in_the_segment_of_the_header(form) -> None:
    async with behind("submissions") as it:
        fronts = FrontContexts([self_signed("relay.test")])
        it.listener.door = replace(it.listener.door, tls=fronts.new_context)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        tls = trust.wrap_bio(incoming, outgoing)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        client = await passed_on(it, form("192.0.2.7") + outgoing.read())
        greeting = b""
        async with asyncio.timeout(30):
            while not greeting:
                octets = await client.reader.read(65536)
                assert octets
                incoming.write(octets)
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    client.writer.write(outgoing.read())
                    greeting = tls.read()
        assert greeting.startswith(b"220")
        assert it.table.connections_from("192.0.2.7") == 1
        client.writer.transport.abort()


@pytest.mark.parametrize(
    "octets",
    [b"EHLO c.test\r\n", b"\x16\x03\x01\x02\0", b"PROXY TCP4 x y 1 2\r\n", b"PROXY UNKNOWN " + b"x" * 200,
     SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x11\x11\0\0"],
)  # fmt: skip
@pytest.mark.parametrize("role", ["mx", "submissions"])
async def test_who_is_listed_and_sends_none_is_closed_at_once(
    role: str, octets: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind(role) as it:
        client = await passed_on(it, octets)
        with contextlib.suppress(ConnectionError):
            assert await client.line() == ""
        assert it.table.total(Metric.SESSIONS) == 0
        assert it.table.total(Metric.HEADERLESS) == 1
    assert "127.0.0.9:" in caplog.text
    assert "is in proxy_protocol_from, and sent no PROXY header: " in caplog.text


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 192.0.2.7", SIGNATURE])
async def test_a_header_is_waited_for_a_few_seconds(
    begun: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lobby, "_PATIENCE", 0.1)
    async with behind() as it:
        client = await passed_on(it, begun)
        with contextlib.suppress(ConnectionError):
            assert await client.line() == ""
    assert "none within" in caplog.text


async def test_a_header_that_ends_in_its_midst_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with behind() as it:
        client = await passed_on(it, b"PROXY TCP4 192.0.2.7")
        client.writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert await client.line() == ""
        assert it.table.total(Metric.HEADERLESS) == 1
    assert "sent no PROXY header: it ended in the midst of it" in caplog.text


async def test_a_health_check_that_only_connects_is_nothing_to_tell(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with behind() as it:
        (await it.client(BALANCER)).writer.close()
        (await it.client(BALANCER)).writer.transport.abort()
        assert it.listener.port is not None
        async with asyncio.timeout(30):
            await it.listener.port.wait_empty()
        assert it.table.total(Metric.HEADERLESS) == 0
    assert caplog.text == ""


async def test_from_others_a_header_is_a_syntax_error() -> None:
    async with behind() as it:
        client = await passed_on(it, line("192.0.2.7"), "127.0.0.11")
        assert (await client.line()).startswith("220")
        assert (await client.line()).startswith("500 ")
        await refusals_tell(it, client, "127.0.0.11")


async def test_without_balancers_nobody_is_believed() -> None:
    async with place() as it:
        client = await passed_on(it, line("192.0.2.7"))
        assert (await client.line()).startswith("220")
        assert (await client.line()).startswith("500 ")


async def test_limits_are_of_who_is_behind() -> None:
    async with behind(connections_per_address=1) as it:
        first = [await passed_on(it, line(h)) for h in ("192.0.2.7", "192.0.2.8", "2001:db8::7")]
        for client in first:
            assert (await client.line()).startswith("220")
        for host in ("192.0.2.7", "2001:db8::8"):
            late = await passed_on(it, binary(host))
            assert await late.line() == words(replies.TOO_MANY_CONNECTIONS)


async def test_a_balancer_that_names_a_network_for_each_connection_keeps_nobody_else_out() -> None:
    async with behind(connections=3) as it:
        crowd = [await passed_on(it, line(f"192.0.{n}.1")) for n in range(3)]
        for client in crowd:
            assert (await client.line()).startswith("220")
        assert not (await (await passed_on(it, line("192.0.9.1"))).line()).startswith("220")
        straight = await it.client("127.1.1.1")
        assert (await straight.line()).startswith("220")
        assert await crowd[0].line() == words(replies.TOO_MANY_CONNECTIONS)
        other = await passed_on(it, line("192.0.9.1"), OTHER)
        assert (await other.line()).startswith("220")
        assert await crowd[1].line() == words(replies.TOO_MANY_CONNECTIONS)
        # one of each now: nobody has to go any more
        assert not (await (await passed_on(it, line("192.0.8.1"), OTHER)).line()).startswith("220")
        for client in (crowd[2], other, straight):
            assert (await client.ask("NOOP")).startswith("250")


async def test_who_waits_for_headers_takes_no_more_than_so_many_places() -> None:
    async with behind(capacity=1) as it:
        silent = [await it.client(BALANCER) for _ in range(16)]
        async with asyncio.timeout(30):
            while it.listener.port is None or len(it.listener.port) < 16:
                await asyncio.sleep(0)
        further = await passed_on(it, line("192.0.2.7"))
        with contextlib.suppress(ConnectionError):
            assert await further.line() == ""
        assert it.table.total(Metric.HEADERLESS) == 1
        # another balancer takes one of those places
        other = await passed_on(it, line("192.0.2.8"), OTHER)
        assert (await other.line()).startswith("220")
        with contextlib.suppress(ConnectionError):
            assert await silent[0].line() == ""
        for client in silent:
            client.writer.transport.abort()


async def test_who_was_let_in_or_left_takes_no_place_any_more() -> None:
    async with behind(capacity=1) as it:
        for number in range(20):
            (await it.client(BALANCER)).writer.close()
            client = await passed_on(it, line(f"192.0.2.{number}"))
            assert (await client.line()).startswith("220")
            assert (await client.ask("QUIT")).startswith("221")
            assert await client.line() == ""
            assert it.listener.port is not None
            async with asyncio.timeout(30):
                await it.listener.port.wait_empty()


async def test_whoever_stops_waits_for_no_header_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lobby, "_PATIENCE", 0.1)
    async with behind() as it:
        await it.client(BALANCER)
        it.scene.stopping = True
        async with asyncio.timeout(30):
            await it.listener.stop(20)


def test_what_is_no_address_is_nobody_s() -> None:
    assert not lobby.is_of("", [ip_network("0.0.0.0/1")])
    assert lobby.is_of("10.1.2.3", [ip_network("::/1"), ip_network("10.0.0.0/8")])
    assert not lobby.is_of("10.1.2.3", [ip_network("::/1"), ip_network("10.2.0.0/16")])
