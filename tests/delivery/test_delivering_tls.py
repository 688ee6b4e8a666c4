"""TLS on the way out: opportunistic, required, implicit, never; and logins inside it."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.broken_tls import BrokenTls
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.route import TlsMode, UpstreamLogin, ViaMx, ViaSmtp
from gatepost.model.secret import Secret
from gatepost.net.address import SocketAddress
from gatepost.net.tls import Verification, client_context
from tests.delivery.rig import Rig, routing
from tests.sink import Sink

DELIVERED = DeliveryState.DELIVERED


class Authority:
    """Makes servers' contexts, and clients that trust them."""

    def __init__(self, path: Path) -> None:
        self._ca = trustme.CA()
        self._file = path / "ca.pem"
        self._ca.cert_pem.write_to_path(self._file)

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        return client_context(Verification.REQUIRED, self._file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def broken() -> ssl.SSLContext:
    """A server that no client agrees with: it has no certificate."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def to_mx(rig: Rig) -> None:
    rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))


async def test_tls_is_used_where_it_is_offered_whoever_certifies_it(authority: Authority) -> None:
    async with Sink(tls=authority.server("other.example")) as sink, Rig(sink.port) as rig:
        to_mx(rig)
        (row,) = await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert sink.messages[0].tls
        assert [c.split()[0] for c in sink.commands[0][:4]] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
        assert row.last_outcome is not None
        assert row.last_outcome.tls.startswith("TLSv1.3 TLS_")


@pytest.mark.rfc("7435#3")
async def test_where_the_handshake_fails_clear_text_is_used_on_a_new_connection() -> None:
    async with Sink(tls=broken()) as sink, Rig(sink.port) as rig:
        to_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert sink.sessions == 2
        assert (sink.messages[0].session, sink.messages[0].tls) == (1, False)


async def test_a_broken_handshake_is_forgotten_after_a_while_and_told(
    authority: Authority,
) -> None:
    bounds = Bounds(look=0.02, dial=5.0, messages_per_session=1, clear=0.2)
    server = authority.server("mx.y.example")
    async with Sink(tls=broken()) as sink, Rig(sink.port, bounds=bounds) as rig:
        to_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        (event,) = rig.told
        assert event.kind is EventKind.TLS_BROKEN
        assert event.facts["host"] == "mx.y.example"
        assert str(event.facts["text"]).startswith("TLS handshake failed")
        sink.tls = server
        async with asyncio.timeout(30):
            while not sink.messages[-1].tls:
                await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert rig.told == [event]


def test_an_address_gets_clear_text_for_twice_as_long_each_time() -> None:
    address, other = SocketAddress("192.0.2.1", 25), SocketAddress("192.0.2.2", 25)
    tls = BrokenTls(Bounds(clear=60, longest_clear=150))
    assert tls.note("a", address, 0) == 60
    assert tls.note("a", address, 1) is None  # another connection broke beside it
    assert tls.gets_clear("a", address, 59)
    assert not tls.gets_clear("a", other, 59)
    assert not tls.gets_clear("b", address, 59)  # whose MX names a host that is not his
    assert not tls.gets_clear("a", address, 60)
    assert tls.note("a", address, 61) == 120
    assert tls.note("a", address, 200) == 150
    tls.works("a", address)
    assert not tls.gets_clear("a", address, 201)
    assert tls.note("a", address, 202) == 60
    assert tls.note("a", address, 500) == 60  # long after the last one


async def test_a_server_that_does_not_agree_behind_the_handshake_gets_clear_text(
    authority: Authority,
) -> None:
    strict = authority.server("mx.y.example")
    strict.verify_mode = ssl.CERT_REQUIRED  # of clients; with TLS 1.3 we hear it after EHLO
    async with Sink(tls=strict) as sink, Rig(sink.port) as rig:
        to_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert (sink.sessions, sink.messages[0].tls) == (2, False)
        (event,) = rig.told
        assert event.kind is EventKind.TLS_BROKEN


async def test_a_broken_handshake_is_remembered_though_nothing_comes_for_long() -> None:
    bounds = Bounds(look=0.02, dial=5.0, messages_per_session=1, session_idle=0.02)
    async with Sink(tls=broken()) as sink, Rig(sink.port, bounds=bounds) as rig:
        to_mx(rig)
        for number in (1, 2):
            await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
            async with asyncio.timeout(30):
                while [session[-1:] for session in sink.commands.values()].count(["QUIT"]) < number:
                    await asyncio.sleep(0.01)
        assert (sink.sessions, len(rig.told)) == (3, 1)


async def test_where_starttls_is_refused_the_session_goes_on(authority: Authority) -> None:
    server = authority.server("mx.y.example")
    async with Sink({"STARTTLS": ["454 not now"]}, tls=server) as sink, Rig(sink.port) as rig:
        to_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert (sink.messages[0].session, sink.messages[0].tls) == (0, False)


async def test_never_means_never(authority: Authority) -> None:
    routes = routing(routes=[("*", ViaMx(TlsMode.NEVER))])
    async with Sink(tls=authority.server("x")) as sink, Rig(sink.port, routes=routes) as rig:
        to_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert not sink.messages[0].tls


REQUIRED = routing(routes=[("*", ViaMx(TlsMode.REQUIRED))])


async def test_required_tls_checks_the_name(authority: Authority) -> None:
    server = authority.server("mx.y.example")
    async with (
        Sink(tls=server) as sink,
        Rig(sink.port, routes=REQUIRED, authorities=authority.client()) as rig,
    ):
        to_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert sink.messages[0].tls


@pytest.mark.parametrize(
    ("names", "script", "status"),
    [
        (["other.example"], {}, "4.7.5"),
        (["mx.y.example"], {"STARTTLS": ["454 no"] * 9}, "4.7.4"),
        ([], {}, "4.7.4"),
    ],
)
async def test_required_tls_that_is_not_to_be_had_sends_nothing(
    authority: Authority, names: list[str], script: dict[str, list[str]], status: str
) -> None:
    server = authority.server(*names) if names else None
    async with (
        Sink(script, tls=server) as sink,
        Rig(sink.port, routes=REQUIRED, authorities=authority.client()) as rig,
    ):
        to_mx(rig)
        await rig.submit("b@y.example")
        event = await rig.until_event(EventKind.DEFERRED)
        assert event.facts["status"] == status
        assert sink.messages == []
        assert not any("MAIL" in c for said in sink.commands.values() for c in said)


async def test_required_tls_distrusts_unknown_authorities(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    async with (
        Sink(tls=stranger.server("mx.y.example")) as sink,
        Rig(sink.port, routes=REQUIRED, authorities=authority.client()) as rig,
    ):
        to_mx(rig)
        await rig.submit("b@y.example")
        event = await rig.until_event(EventKind.DEFERRED)
        assert "certificate not accepted" in str(event.facts["text"])


def upstream(port: int, password: str, tls: TlsMode, mechanism: str | None = None) -> ViaSmtp:
    return ViaSmtp("localhost", port, tls, UpstreamLogin("u", Secret(password), mechanism))


@pytest.mark.parametrize("mechanism", [None, "LOGIN"])
@pytest.mark.parametrize("tls", [TlsMode.REQUIRED, TlsMode.IMPLICIT])
async def test_we_log_in_at_a_smart_host(
    authority: Authority, tls: TlsMode, mechanism: str | None
) -> None:
    server = authority.server("localhost")
    implicit = tls is TlsMode.IMPLICIT
    async with Sink(tls=server, implicit=implicit, login=("u", "secret")) as sink:
        routes = routing(routes=[("*", upstream(sink.port, "secret", tls, mechanism))])
        async with Rig(routes=routes, authorities=authority.client()) as rig:
            await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
            assert sink.messages[0].user == "u"


async def test_a_refused_login_is_our_fault_and_the_mail_waits(authority: Authority) -> None:
    async with Sink(tls=authority.server("localhost"), login=("u", "secret")) as sink:
        routes = routing(routes=[("*", upstream(sink.port, "wrong", TlsMode.REQUIRED))])
        async with Rig(routes=routes, authorities=authority.client()) as rig:
            await rig.submit("b@y.example")
            event = await rig.until_event(EventKind.DEFERRED)
            assert "refused our login: 535" in str(event.facts["text"])
            assert sink.messages == []


async def test_a_next_hop_that_repeats_our_login_tells_no_tenant_the_password(
    authority: Authority,
) -> None:
    line = "AUTH PLAIN AHUAc2VzYW1lLWFuZC1tb3Jl"
    said = {"AUTH": [f"500 5.5.1 unrecognized: {line} (sesame-and-more)"] * 99}
    server = authority.server("localhost")
    async with Sink(said, tls=server, login=("u", "another")) as sink:
        via = upstream(sink.port, "sesame-and-more", TlsMode.REQUIRED)
        async with Rig(routes=routing(routes=[("*", via)]), authorities=authority.client()) as rig:
            (one,) = await rig.submit("b@y.example")
            event = await rig.until_event(EventKind.DEFERRED)
            assert "unrecognized: AUTH PLAIN <secret> (<secret>)" in str(event.facts["text"])
            for told in (*rig.store.tables.event_rows, rig.row(one)):
                assert "sesame" not in repr(told)
                assert "AHUAc2Vz" not in repr(told)
        assert line in sink.commands[0]


async def test_no_route_sends_over_the_session_of_another_login(authority: Authority) -> None:
    async with Sink(tls=authority.server("localhost"), login=("u", "secret")) as sink:
        routes = routing(
            routes=[
                ("right.example", upstream(sink.port, "secret", TlsMode.REQUIRED)),
                ("wrong.example", upstream(sink.port, "wrong", TlsMode.REQUIRED)),
            ]
        )
        async with Rig(routes=routes, authorities=authority.client()) as rig:
            await rig.until_state(await rig.submit("b@right.example"), DELIVERED)
            await rig.submit("b@wrong.example")
            event = await rig.until_event(EventKind.DEFERRED)
            assert "refused our login: 535" in str(event.facts["text"])
            assert len(sink.messages) == 1
