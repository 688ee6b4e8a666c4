"""`send`: the client's side of a dialogue, against servers that are scripts."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.domain_name import HostPort
from gatepost.model.secret import Secret
from gatepost.net.address import SocketAddress
from gatepost.net.certificate import make_self_signed, parse_certificate
from gatepost.net.deadlines import Deadlines
from gatepost.net.tls import FrontContexts
from gatepost.net.transport import Connection, bind, serve
from gatepost.operate import send as send_module
from gatepost.operate.send import (
    Errand,
    Login,
    SendFailedError,
    Sent,
    TlsChoice,
    crlf,
    sample_message,
    send,
)
from tests.support.ports import free_port

_HELLO = "250-relay.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 {offers}"
_LOGIN = Login("app@example.com", Secret("correct horse"))


@cache
def tls_context() -> ssl.SSLContext:
    return FrontContexts([parse_certificate(*make_self_signed(["relay.test"]))]).new_context()


@dataclass
class Script:
    """A server that answers each command with the line that its verb has here."""

    answers: dict[str, str] = field(default_factory=dict)
    offers: str = "STARTTLS"
    offers_in_tls: str = "AUTH PLAIN LOGIN"
    implicit: bool = False
    heard: list[str] = field(default_factory=list)
    content: bytes = b""

    async def play(self, connection: Connection) -> None:
        if self.implicit:
            await connection.start_tls(tls_context(), server_side=True)
        connection.write(self.answers.get("", "220 relay.test").encode() + b"\r\n")
        waiting = b""
        while octets := await connection.read():
            waiting += octets
            while b"\r\n" in waiting:
                line, _, waiting = waiting.partition(b"\r\n")
                waiting = await self._answer(connection, line.decode(), waiting)
            connection.flush()

    async def _answer(self, connection: Connection, line: str, waiting: bytes) -> bytes:
        self.heard.append(line)
        verb = line.partition(" ")[0].partition(":")[0].upper()
        offers = self.offers_in_tls if connection.tls else self.offers
        usual = {
            "EHLO": _HELLO.format(offers=offers or "HELP"),
            "AUTH": "235 2.7.0 welcome",
            "STARTTLS": "220 go",
            "DATA": "354 go",
            "QUIT": "221 bye",
        }
        reply = self.answers.get(line) or self.answers.get(verb) or usual.get(verb, "250 2.0.0 OK")
        connection.write(reply.encode() + b"\r\n")
        if verb == "STARTTLS" and reply.startswith("220"):
            await connection.start_tls(tls_context(), server_side=True)
        if verb == "DATA" and reply.startswith("354"):
            waiting = b"\r\n" + waiting  # a lone dot ends it, too
            while b"\r\n.\r\n" not in waiting:
                waiting += await connection.read()
            content, _, waiting = waiting.partition(b"\r\n.\r\n")
            self.content = content[2:]
            connection.write(self.answers.get(".", "250 2.0.0 queued").encode() + b"\r\n")
        return waiting


Send = Callable[..., Awaitable[Sent]]


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[Send]:
    port = await serve(bind(SocketAddress("127.0.0.1", 0)), script.play, deadlines=Deadlines())

    async def send_there(**changes: object) -> Sent:
        values: dict[str, object] = {
            "server": HostPort("127.0.0.1", port.address.port),
            "reverse_path": "a@example.com",
            "forward_paths": ("b@example.net",),
            "content": b"Subject: x\r\n\r\nHello\r\n",
        }
        return await send(Errand(**(values | changes)))  # type: ignore[arg-type]

    try:
        yield send_there
    finally:
        await port.stop()


async def test_a_message_goes_with_starttls_and_a_login() -> None:
    script = Script()
    async with server(script) as send_there:
        sent = await send_there(login=_LOGIN)
    assert sent.tls.startswith("TLSv1.")
    assert [(a.recipient, a.accepted, a.words) for a in sent.answers] == [
        ("b@example.net", True, "250 2.0.0 queued")
    ]
    verbs = [line.split()[0] for line in script.heard]
    assert verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert script.heard[0] == "EHLO [127.0.0.1]"
    assert script.content == b"Subject: x\r\n\r\nHello"


async def test_a_message_goes_inside_tls_from_the_first_octet() -> None:
    script = Script(implicit=True)
    async with server(script) as send_there:
        sent = await send_there(login=_LOGIN, tls=TlsChoice.IMPLICIT)
    assert sent.tls
    assert "STARTTLS" not in script.heard


async def test_without_a_login_clear_text_is_taken_where_there_is_nothing_better() -> None:
    async with server(Script(offers="")) as send_there:
        assert (await send_there()).tls == ""
        assert (await send_there(tls=TlsChoice.NONE)).answers[0].accepted


@pytest.mark.parametrize(
    ("script", "changes", "words"),
    [
        (Script(offers=""), {"login": _LOGIN}, "does not offer STARTTLS"),
        (Script(offers=""), {"tls": TlsChoice.STARTTLS}, "does not offer STARTTLS"),
        (Script(), {"login": _LOGIN, "tls": TlsChoice.NONE}, "would show the password"),
        (Script(offers_in_tls=""), {"login": _LOGIN}, "offers no AUTH"),
        (Script(offers_in_tls="AUTH X"), {"login": _LOGIN}, "no AUTH mechanism in common"),
        (
            Script(answers={"AUTH": "535 5.7.8 wrong [tag]"}),
            {"login": _LOGIN},
            "the login was refused: 535 5.7.8 wrong [tag]",
        ),
        (Script(answers={"STARTTLS": "454 4.7.0 no"}), {}, "STARTTLS was refused: 454 4.7.0 no"),
        (Script(answers={"": "554 go away"}), {}, "the greeting was refused: 554 go away"),
        (Script(), {"tls": TlsChoice.IMPLICIT}, "TLS with 127.0.0.1"),
    ],
)
async def test_what_goes_wrong_on_the_way_is_said_in_words(
    script: Script, changes: dict[str, object], words: str
) -> None:
    async with server(script) as send_there:
        with pytest.raises(SendFailedError) as raised:
            await send_there(**changes)
    assert words in str(raised.value)
    assert "correct horse" not in str(raised.value)


async def test_a_password_never_travels_in_clear() -> None:
    script = Script(offers="AUTH PLAIN")
    async with server(script) as send_there:
        with pytest.raises(SendFailedError):
            await send_there(login=_LOGIN)
    assert not any(line.startswith("AUTH") for line in script.heard)


async def test_an_address_beyond_ascii_needs_smtputf8() -> None:
    script = Script(offers="SMTPUTF8")
    async with server(script) as send_there:
        await send_there(forward_paths=("j\u00fcrg@example.net",))
    assert "MAIL FROM:<a@example.com> SMTPUTF8" in script.heard
    assert "RCPT TO:<j\u00fcrg@example.net>" in script.heard
    async with server(Script()) as send_there:
        sent = await send_there(forward_paths=("j\u00fcrg@example.net",))
    assert [answer.accepted for answer in sent.answers] == [False]
    assert "SMTPUTF8 is not offered" in sent.answers[0].words


async def test_each_recipient_has_an_answer() -> None:
    script = Script(answers={"RCPT TO:<no@example.net>": "550 5.1.1 no such user"})
    async with server(script) as send_there:
        sent = await send_there(forward_paths=("b@example.net", "no@example.net"))
    assert [(a.accepted, a.words) for a in sent.answers] == [
        (True, "250 2.0.0 queued"),
        (False, "550 5.1.1 no such user"),
    ]


@pytest.mark.parametrize("verb", ["MAIL", "DATA", "."])
async def test_a_refused_message_is_an_answer_for_everybody(verb: str) -> None:
    async with server(Script(answers={verb: "550 5.7.1 no"})) as send_there:
        sent = await send_there(forward_paths=("b@example.net", "c@example.net"))
    assert [(a.accepted, a.words) for a in sent.answers] == [(False, "550 5.7.1 no")] * 2


async def test_a_reply_that_drips_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A script that calls `gatepost send` would hang with it."""
    monkeypatch.setattr(send_module, "_REPLY", 1.0)

    async def drip(connection: Connection) -> None:
        connection.write(b"220-")
        while connection.is_open:
            connection.write(b"x")
            connection.flush()
            await asyncio.sleep(0.1)

    port = await serve(bind(SocketAddress("127.0.0.1", 0)), drip, deadlines=Deadlines())
    errand = Errand(HostPort("127.0.0.1", port.address.port), "", ("b@example.net",), b"\r\n")
    try:
        async with asyncio.timeout(30):
            with pytest.raises(SendFailedError, match="did not answer in time"):
                await send(errand)
    finally:
        await port.stop()


async def test_nobody_there_is_said_in_words() -> None:
    errand = Errand(HostPort("127.0.0.1", free_port()), "", ("b@example.net",), b"\r\n")
    with pytest.raises(SendFailedError, match="connection refused"):
        await send(errand)


@pytest.mark.parametrize(
    ("octets", "content"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb", b"a\r\nb\r\n"),
        (b"a\rb\n", b"a\r\nb\r\n"),
        (b"", b"\r\n"),
        (b"a\r\n\nb\r\n", b"a\r\n\r\nb\r\n"),
    ],
)
def test_content_has_crlf_at_every_end(octets: bytes, content: bytes) -> None:
    assert crlf(octets) == content


@given(st.binary())
def test_no_bare_cr_or_lf_is_left(octets: bytes) -> None:
    content = crlf(octets)
    assert content.endswith(b"\r\n")
    assert not set(content.replace(b"\r\n", b"")) & set(b"\r\n")


def test_a_sample_message_has_what_a_message_needs() -> None:
    octets = sample_message(
        "a@example.com", ["b@example.net"], now=datetime(2026, 1, 2, tzinfo=UTC), identifier="1"
    )
    header = octets.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line.partition(b":")[0] for line in header] == [
        b"From", b"To", b"Subject", b"Date", b"Message-ID",
    ]  # fmt: skip
    assert crlf(octets) == octets
