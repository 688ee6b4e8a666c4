"""The probe against servers that are scripts: what it says to them, what it finds, what it hides."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from gatepost.model.secret import Secret
from gatepost.net.resolver import Resolver
from gatepost.operate import probe_visit
from gatepost.operate.probe import Inquiry, Probed, probe
from gatepost.operate.probe_json import probed_json
from gatepost.operate.probe_login import Login, withheld
from gatepost.operate.probe_seen import PortSeen, Stage, TlsSeen, Withheld
from gatepost.operate.probe_talk import Patience
from tests.dns_server import DnsServer
from tests.sink import DROP, HANG, Sink

HOST = "mail.example"
SECRET = "correct horse battery"
LOGIN = Login("app@mail.example", Secret(SECRET))
QUICK = Patience(
    total=20, dns=2, dial=2, silence=0.2, greeting=1, handshake=2, login=1, reply=1, goodbye=1
)
AUTHORITY = trustme.CA()


def server_tls(*names: str, authority: trustme.CA = AUTHORITY, **more: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or (HOST,)), **more).configure_cert(context)
    return context


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    async with DnsServer() as dns:
        dns.add(HOST, "A", "127.0.0.1")
        dns.add("domain.example", "MX", "10 mx1.domain.example.")
        resolver = Resolver([dns.address])
        yield resolver
        await resolver.close()


Ask = Callable[..., Awaitable[Probed]]


@pytest.fixture
def ask(ca: Path, resolver: Resolver) -> Ask:
    async def ask_one(port: int | None, *, ports: tuple[int, ...] = (), **changes: Any) -> Probed:
        inquiry = replace(Inquiry(HOST, port, authorities=ca, patience=QUICK), **changes)
        return await probe(
            inquiry, now=datetime.now(UTC), resolver=resolver, **({"ports": ports} if ports else {})
        )

    return ask_one


def names(probed: Probed) -> list[str]:
    return [finding.name for finding in probed.findings]


def stages(probed: Probed, port: int = 0) -> list[str]:
    return [step.stage.value for step in probed.seen.ports[port].steps]


def everything(probed: Probed) -> str:
    return f"{probed_json(probed)}{probed.findings}{[p.steps for p in probed.seen.ports]}"


# -- all well


async def test_a_good_server_is_well_and_never_hears_data(ask: Ask) -> None:
    tls = server_tls()
    async with Sink(tls=tls, login=("app@mail.example", SECRET)) as sink:
        probed = await ask(sink.port, login=LOGIN)
    assert probed.is_well, probed.findings
    verbs = [line.split()[0] for line in sink.commands[0]]
    assert verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "RSET", "QUIT"]
    assert sink.sessions == 1
    assert sink.messages == []
    assert stages(probed) == [
        "connect", "greeting", "hello", "starttls", "handshake", "hello", "login", "mail", "rcpt",
        "reset", "quit",
    ]  # fmt: skip
    assert probed.advice is not None
    assert (probed.advice.security, probed.advice.mechanism) == ("STARTTLS", "PLAIN")
    seen = probed.seen.ports[0]
    assert seen.tls is not None
    assert seen.tls.version == "TLSv1.3"
    assert seen.hello_tls == ("8BITMIME", "SIZE 100000000", "PIPELINING", "AUTH PLAIN LOGIN")


async def test_without_a_login_nothing_but_the_offers_is_looked_at(ask: Ask) -> None:
    async with Sink(tls=server_tls(), login=("a", "b")) as sink:
        probed = await ask(sink.port)
    assert [line.split()[0] for line in sink.commands[0]] == ["EHLO", "STARTTLS", "EHLO", "QUIT"]
    assert probed.is_well


async def test_a_rehearsal_can_be_asked_for_without_a_login(ask: Ask) -> None:
    refusal = "554 5.7.1 <c@y.example>: Relay access denied"
    async with Sink(refuse={"c@y.example": refusal}, tls=server_tls(), login=("a", "b")) as sink:
        probed = await ask(sink.port, reverse_path="", forward_path="c@y.example")
    assert sink.commands[0][-4:] == ["MAIL FROM:<>", "RCPT TO:<c@y.example>", "RSET", "QUIT"]
    assert names(probed) == ["relaying-denied"]
    assert probed.findings[0].heard == refusal


async def test_one_by_one_without_pipelining(ask: Ask) -> None:
    async with Sink(pipelining=False, tls=server_tls(), login=(LOGIN.username, SECRET)) as sink:
        probed = await ask(sink.port, login=LOGIN)
    assert probed.is_well
    assert "RSET" in sink.commands[0]
    assert "DATA" not in sink.commands[0]


# -- secrets


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_a_refused_secret_is_nowhere_in_the_answer(ask: Ask, mechanism: str) -> None:
    echo = f"535 5.7.8 no, {SECRET} is wrong"
    async with Sink({"AUTH": [echo]}, tls=server_tls(), login=("a", "b")) as sink:
        probed = await ask(sink.port, login=replace(LOGIN, mechanism=mechanism))
    assert "wrong-credentials-generic" in names(probed)
    shown = everything(probed)
    assert SECRET not in shown
    assert "<secret> is wrong" in shown
    for heard in sink.commands[0]:
        if heard.startswith("AUTH PLAIN"):
            assert heard.split()[2] not in shown
    # A refused login is not tried again, and not followed by MAIL.
    assert len([line for line in sink.commands[0] if line.startswith("AUTH")]) == 1
    assert "rehearsal" not in stages(probed)
    assert SECRET not in repr(LOGIN)


async def test_a_secret_never_travels_in_clear(ask: Ask) -> None:
    async with Sink(offers=("AUTH PLAIN LOGIN CRAM-MD5",)) as sink:
        probed = await ask(sink.port, login=LOGIN)
    assert names(probed) == ["starttls-missing", "login-in-clear", "login-withheld"]
    assert not any(line.startswith("AUTH") for line in sink.commands[0])


@pytest.mark.parametrize(
    ("tls", "changes", "expected"),
    [
        (TlsSeen("TLSv1.3", "X", 256, None), {}, None),
        (None, {}, Withheld.CLEAR),
        (TlsSeen("TLSv1", "X", 256, None, "protocol too old", outdated=True), {}, Withheld.CLEAR),
        (TlsSeen("TLSv1.3", "X", 256, None, "has expired"), {}, Withheld.DISTRUST),
        (TlsSeen("TLSv1.3", "X", 256, None, "has expired"), {"insecure": True}, None),
    ],
)
def test_to_whom_a_secret_may_go(
    tls: TlsSeen | None, changes: dict[str, Any], expected: Withheld | None
) -> None:
    port = PortSeen(587, address="192.0.2.1:587", mechanisms=("PLAIN",), tls=tls)
    assert withheld(port, replace(LOGIN, **changes)) is expected
    assert withheld(replace(port, mechanisms=()), LOGIN) is Withheld.NOT_OFFERED
    if tls is not None and not tls.outdated:
        assert withheld(replace(port, is_loopback=True), LOGIN) is None


# -- TLS and certificates


def expired() -> ssl.SSLContext:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return server_tls(not_before=yesterday - timedelta(days=9), not_after=yesterday)


def old_protocol() -> ssl.SSLContext:
    context = server_tls(key_type=trustme.KeyType.RSA)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (server_tls, []),
        (expired, ["certificate-expired"]),
        (lambda: server_tls("other.example"), ["certificate-name"]),
        (lambda: server_tls(authority=trustme.CA()), ["certificate-untrusted"]),
        (old_protocol, ["weak-protocol"]),
    ],
)
async def test_what_is_wrong_with_tls(
    ask: Ask, make: Callable[[], ssl.SSLContext], expected: list[str], implicit: bool
) -> None:
    async with Sink(tls=make(), implicit=implicit, login=(LOGIN.username, SECRET)) as sink:
        probed = await ask(sink.port, login=LOGIN)
    assert [name for name in names(probed) if name != "login-withheld"] == expected
    seen = probed.seen.ports[0]
    assert seen.tls is not None
    assert seen.implicit is implicit
    assert bool(seen.tls.distrust) is bool(expected)
    # Old TLS shows what the server is, and is not trusted with a secret.
    assert (seen.login is not None and seen.login.accepted) is not seen.tls.outdated


async def test_tls_that_cannot_be_had_is_said(ask: Ask) -> None:
    context = server_tls()
    context.set_ciphers("NULL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with Sink(tls=context, login=("a", "b")) as sink:
        probed = await ask(sink.port)
    assert probed.findings[0].name in {"tls-failed", "weak-cipher"}
    assert not probed.is_well


async def test_a_refused_starttls_goes_on_in_clear(ask: Ask) -> None:
    async with Sink({"STARTTLS": ["454 4.7.0 TLS not available"]}, tls=server_tls()) as sink:
        probed = await ask(sink.port, login=LOGIN)
    assert "starttls-unavailable" in names(probed)
    assert not any(line.startswith("AUTH") for line in sink.commands[0])


async def test_octets_behind_starttls_are_an_attack(ask: Ask) -> None:
    async with Sink({"STARTTLS": ["220 go\n250 injected"]}, tls=server_tls()) as sink:
        probed = await ask(sink.port, login=LOGIN)
    assert not probed.is_well
    assert probed.seen.ports[0].tls is None
    assert not any(line.startswith("AUTH") for line in sink.commands[0])


async def test_port_465_that_speaks_in_clear_is_found_out(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sink(tls=server_tls(), login=("a", "b")) as sink:
        monkeypatch.setattr(probe_visit, "SUBMISSIONS", sink.port)
        probed = await ask(sink.port)
    seen = probed.seen.ports[0]
    assert not seen.implicit
    assert seen.hello_tls is not None
    assert "not TLS; trying in clear" in [step.words for step in seen.steps]


# -- strangers


@asynccontextmanager
async def raw(octets: bytes, *, wait: bool = False) -> AsyncIterator[int]:
    """A server that says octets to whoever calls, and hangs up (or waits first)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if wait:
            await reader.read(1)
        writer.write(octets)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("octets", "name", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not-smtp", "HTTP"),
        (b"* OK IMAP4rev1 ready\r\n", "not-smtp", "IMAP"),
        (b"+OK POP3 ready\r\n", "not-smtp", "POP3"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not-smtp", "SSH"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "tls-on-clear-port", "TLS"),
        (b"\x00" * 9000, "not-smtp", "not SMTP"),
        (b"", "dropped-at-once", "dropped"),
        (b"554 5.7.1 go away\r\n", "greeting-refused", "does not talk"),
        (b"421 4.3.2 too busy\r\n", "overloaded", "puts us off"),
    ],
)
async def test_who_is_no_mail_server(ask: Ask, octets: bytes, name: str, words: str) -> None:
    async with raw(octets) as port:
        probed = await ask(port, login=LOGIN)
    assert names(probed)[0] == name
    assert words in probed.findings[0].what
    assert not probed.is_well


async def test_replies_before_their_commands_are_no_fault_of_ours(ask: Ask) -> None:
    async with raw(b"220 hi\r\n" + b"250 ok\r\n" * 50, wait=False) as port:
        probed = await ask(port, login=LOGIN)
    assert not probed.is_well
    assert everything(probed)


async def test_a_web_server_that_waits_to_be_asked_is_silent(ask: Ask) -> None:
    async with raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", wait=True) as port:
        probed = await ask(port)
    assert names(probed) == ["no-greeting"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"GREETING": [HANG] * 4}, ["no-greeting"]),
        ({"GREETING": [DROP] * 4}, ["dropped-at-once"]),
        ({"EHLO": [HANG]}, ["broke-off"]),
        ({"EHLO": ["250 ok"]}, ["starttls-missing"]),
        ({"STARTTLS": [DROP]}, ["broke-off"]),
        ({"AUTH": [HANG]}, ["login-cut"]),
        ({"AUTH": [DROP]}, ["login-cut"]),
        ({"AUTH": ["421 4.7.0 Too many failed logins"]}, ["login-rate-generic"]),
        ({"MAIL": [DROP]}, ["broke-off"]),
        ({"MAIL": ["421 4.3.2 stopping"]}, ["overloaded"]),
        ({"RCPT": ["550 5.1.1 User unknown"]}, ["no-such-recipient"]),
        ({"QUIT": [HANG]}, []),
        ({"QUIT": [DROP]}, []),
    ],
)
async def test_however_a_server_breaks_off_it_is_said(
    ask: Ask, script: dict[str, Iterable[str]], expected: list[str]
) -> None:
    login = (LOGIN.username, SECRET)
    async with Sink(script, tls=server_tls(), login=login) as sink:
        async with asyncio.timeout(30):
            probed = await ask(sink.port, login=LOGIN)
    # Without TLS the rest follows from that.
    assert names(probed)[: max(1, len(expected))] == expected
    assert "DATA" not in sink.commands[0]


async def test_the_whole_is_bounded(ask: Ask) -> None:
    patience = Patience(total=1.0)
    async with Sink({"GREETING": [HANG] * 4}) as sink:
        async with asyncio.timeout(30):
            probed = await ask(sink.port, patience=patience)
    assert names(probed) == ["no-greeting"]


async def test_a_slow_greeting_is_waited_for(ask: Ask) -> None:
    async with Sink(tls=server_tls(), login=("a", "b")) as sink:
        sink.go.clear()
        asking = asyncio.ensure_future(ask(sink.port, patience=Patience(silence=0.1)))
        await sink.until(lambda: sink.sessions >= 2)  # the second one tried TLS
        sink.go.set()
        probed = await asking
    assert probed.is_well
    assert probed.seen.ports[0].greeting_took > 0.1


# -- names and ports


async def test_a_domain_is_not_a_server(resolver: Resolver) -> None:
    inquiry = Inquiry("domain.example", patience=QUICK)
    probed = await probe(inquiry, now=datetime.now(UTC), resolver=resolver)
    assert names(probed) == ["domain-not-server"]
    assert "mx1.domain.example" in probed.findings[0].cause
    assert probed.seen.ports == ()


async def test_a_name_that_is_not_there(resolver: Resolver) -> None:
    inquiry = Inquiry("nobody.example", patience=QUICK)
    probed = await probe(inquiry, now=datetime.now(UTC), resolver=resolver)
    assert names(probed) == ["no-such-host"]
    assert probed.seen.names.step is not None
    assert probed.seen.names.step.stage is Stage.DNS


async def test_several_ports_are_visited_at_once_and_one_gets_the_login(ask: Ask) -> None:
    tls, login = server_tls(), (LOGIN.username, SECRET)
    async with Sink(tls=tls, login=login) as one, Sink(tls=tls, login=login) as two:
        probed = await ask(None, ports=(one.port, two.port), login=LOGIN)
    auths = [
        [line for session in sink.commands.values() for line in session if "AUTH" in line]
        for sink in (one, two)
    ]
    assert [len(lines) for lines in auths] == [1, 0]
    assert probed.is_well
    assert probed.advice is not None
    assert probed.advice.port == one.port


async def test_the_login_goes_to_the_next_port_where_the_first_has_none(ask: Ask) -> None:
    tls = server_tls()
    async with Sink(tls=tls) as one, Sink(tls=tls, login=(LOGIN.username, SECRET)) as two:
        probed = await ask(None, ports=(one.port, two.port), login=LOGIN)
    assert probed.advice is not None
    assert probed.advice.port == two.port
    assert probed.is_well, probed.findings


async def test_a_refused_login_is_not_tried_on_the_next_port(ask: Ask) -> None:
    tls = server_tls()
    async with Sink(tls=tls, login=("x", "y")) as one, Sink(tls=tls, login=("x", "y")) as two:
        probed = await ask(None, ports=(one.port, two.port), login=LOGIN)
    assert not probed.is_well
    assert not any("AUTH" in line for lines in two.commands.values() for line in lines)


async def test_nobody_there(ask: Ask) -> None:
    async with raw(b"") as port:
        pass
    probed = await ask(port)
    assert names(probed) == ["unreachable"]
    assert "connection refused" in probed.findings[0].what
