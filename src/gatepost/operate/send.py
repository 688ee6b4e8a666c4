"""Send one message to one server: a client for tests, scripts and first steps.

No queue and no MX look-up: what the server says is the answer.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, NoReturn

from gatepost.model.domain_name import HostPort
from gatepost.model.route import ClientCertificate
from gatepost.model.secret import Secret
from gatepost.net.address import SocketAddress
from gatepost.net.certificate import CertificateInvalidError
from gatepost.net.channel_facts import channel_facts
from gatepost.net.connection import Connection, ConnectionLostError, DeadlineError
from gatepost.net.deadlines import Deadlines
from gatepost.net.dialer import DialFailedError, dial, happy_order
from gatepost.net.tls import TlsFailedError, Verification, client_context
from gatepost.wire.sasl.exchange import ClientCredentials
from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import (
    ContentWanted,
    Ended,
    Envelope,
    Event,
    LoggedIn,
    LoginRefused,
    NeedOctets,
    Phase,
    Ready,
    TlsAccepted,
    TlsRefused,
    TransactionEnded,
    Verdict,
)
from gatepost.wire.smtp.client_login import choose_mechanism
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.reply_reader import ServerReply

#: Seconds for the TCP handshake, for a reply (RFC 5321 §4.5.3.2.1-5), and for the one after the
#: final dot (§4.5.3.2.6).
_DIAL: Final = 30.0
_REPLY: Final = 300.0
_FINAL: Final = 600.0
_IMPLICIT_PORT: Final = 465  # RFC 8314 §7.3
_PIECE: Final = 256 * 1024
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_NO_SECRET: Final = Secret("")


class TlsChoice(StrEnum):
    """When TLS begins. AUTO: at once on port 465, else STARTTLS where it is offered."""

    AUTO = "auto"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials for the server: a password, an access token, or a certificate (EXTERNAL).

    `mechanism` None: the strongest that both sides have. `username` "": whom the certificate names.
    """

    username: str
    password: Secret = _NO_SECRET
    token: Secret = _NO_SECRET
    mechanism: str | None = None
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class Errand:
    """One message to one server. `content` has CRLF line ends (see `crlf`).

    `verify`: the server's certificate must be good. It is not asked for on loopback.
    """

    server: HostPort
    reverse_path: str
    forward_paths: tuple[str, ...]
    content: bytes
    login: Login | None = None
    tls: TlsChoice = TlsChoice.AUTO
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said about one recipient."""

    recipient: str
    accepted: bool
    words: str


@dataclass(frozen=True, slots=True)
class Sent:
    """How an errand ended: an answer for each recipient. `tls` is "" in clear text."""

    server: str
    tls: str
    answers: tuple[Answer, ...]


class SendFailedError(Exception):
    """It did not come as far as an answer for each recipient; the words say why."""


def crlf(octets: bytes) -> bytes:
    """Return a message with CRLF at every line's end, the last one included."""
    if b"\n" in octets.replace(b"\r\n", b"") or b"\r" in octets.replace(b"\r\n", b""):
        octets = _LINE_END.sub(b"\r\n", octets)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def sample_message(
    reverse_path: str, forward_paths: Sequence[str], *, now: datetime, identifier: str
) -> bytes:
    """Return a short message for somebody who has none at hand."""
    domain = reverse_path.rpartition("@")[2] or "localhost"
    lines = (
        f"From: <{reverse_path or 'postmaster@localhost'}>",
        f"To: {', '.join(f'<{path}>' for path in forward_paths)}",
        "Subject: Hello through Gatepost",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{identifier}@{domain}>",
        "",
        "A test message, sent by gatepost send.",
        "",
    )
    return "\r\n".join(lines).encode("utf-8")


async def send(errand: Errand) -> Sent:
    """Play the client from greeting to QUIT.

    Raises:
        SendFailedError: no connection, no TLS, login refused, or the session broke off.

    """
    if errand.login and errand.tls is TlsChoice.NONE:
        msg = "a login without TLS would show the password to everybody on the way"
        raise SendFailedError(msg)
    connection = await _dial(errand.server)
    try:
        return await _Dialogue(errand, connection).play()
    except DeadlineError:
        msg = f"{connection.peer} did not answer in time"
        raise SendFailedError(msg) from None
    except TlsFailedError as error:
        msg = f"TLS with {errand.server} failed: {error.reason}"
        raise SendFailedError(msg) from None
    finally:
        await connection.close()


async def _dial(server: HostPort) -> Connection:
    deadlines = Deadlines()
    reasons = []
    for address in await _addresses(server):
        try:
            return await dial(address, timeout=_DIAL, deadlines=deadlines)
        except DialFailedError as error:
            reasons.append(str(error))
    raise SendFailedError("; ".join(reasons))


async def _addresses(server: HostPort) -> list[SocketAddress]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError as error:
        msg = f"{server.host} has no address: {error.strerror or error}"
        raise SendFailedError(msg) from None
    hosts = happy_order([str(sockaddr[0]) for *_, sockaddr in found])
    return [SocketAddress(host, server.port) for host in hosts]


class _Dialogue:
    """One session over one connection."""

    def __init__(self, errand: Errand, connection: Connection) -> None:
        self._errand = errand
        self._connection = connection
        host = connection.local.host
        # RFC 5321 §4.1.4: a client without a name says its address.
        name = f"[IPv6:{host}]" if ":" in host else f"[{host}]"
        self._implicit = errand.tls is TlsChoice.IMPLICIT or (
            errand.tls is TlsChoice.AUTO and errand.server.port == _IMPLICIT_PORT
        )
        channel = Channel.TLS if self._implicit else Channel.CLEAR
        self._session = ClientSession(name, channel=channel)

    async def play(self) -> Sent:
        """Take every step; the first that fails raises SendFailedError."""
        if self._implicit:
            await self._shake_hands()
        ready = await self._event()
        if not isinstance(ready, Ready):
            self._fail("the greeting was refused", ready)
        await self._begin_tls(ready)
        await self._log_in()
        answers = await self._transfer()
        self._session.quit()
        with contextlib.suppress(DeadlineError):
            await self._event()
        tls = self._connection.tls
        words = f"{tls.version} {tls.cipher}" if tls else ""
        return Sent(str(self._errand.server), words, answers)

    async def _begin_tls(self, ready: Ready) -> None:
        errand = self._errand
        if self._implicit or errand.tls is TlsChoice.NONE:
            return
        if not ready.offers.starttls:
            if errand.tls is TlsChoice.AUTO and errand.login is None:
                return
            msg = f"{errand.server} does not offer STARTTLS (is it the right port?)"
            raise SendFailedError(msg)
        self._session.start_tls()
        event = await self._event()
        if not isinstance(event, TlsAccepted) or self._connection.unread:
            self._fail("STARTTLS was refused", event)
        await self._shake_hands()
        self._session.tls_established()
        again = await self._event()
        if not isinstance(again, Ready):
            self._fail("EHLO was refused", again)

    async def _shake_hands(self) -> None:
        errand = self._errand
        self._connection.deadline = asyncio.get_running_loop().time() + _DIAL
        mode = Verification.REQUIRED if self._verifies() else Verification.OPPORTUNISTIC
        shown = errand.login.certificate if errand.login else None
        try:
            context = client_context(mode, shown=shown)
        except CertificateInvalidError as error:
            raise SendFailedError(f"the certificate cannot be used: {error.problem}") from None
        await self._connection.start_tls(
            context, server_side=False, server_hostname=errand.server.host
        )

    def _verifies(self) -> bool:
        if not self._errand.verify or ip_address(self._connection.peer.host).is_loopback:
            return False
        # Without a login and without a word about TLS, any encryption is better than none.
        return self._errand.login is not None or self._errand.tls is not TlsChoice.AUTO

    async def _log_in(self) -> None:
        login = self._errand.login
        if login is None:
            return
        server, offered = self._errand.server, self._session.offers.mechanisms
        if not offered:
            msg = f"{server} offers no AUTH (is it a submission port?)"
            raise SendFailedError(msg)
        credentials = ClientCredentials(
            login.username, login.password.reveal(), login.token.reveal(), server.port
        )
        facts = channel_facts(self._connection, hostname=server.host)
        if choose_mechanism(offered, login.mechanism, credentials, facts) is None:
            known = ", ".join(sorted(offered))
            msg = f"{server}: no AUTH mechanism in common that fits; it offers {known}"
            raise SendFailedError(msg)
        self._session.log_in_as(credentials, facts, mechanism=login.mechanism)
        event = await self._event()
        if not isinstance(event, LoggedIn):
            self._fail("the login was refused", event)

    async def _transfer(self) -> tuple[Answer, ...]:
        errand = self._errand
        self._session.begin(
            Envelope(
                errand.reverse_path,
                errand.forward_paths,
                size=len(errand.content),
                eight_bit=not errand.content.isascii(),
                utf8=not all(map(str.isascii, (errand.reverse_path, *errand.forward_paths))),
            )
        )
        event = await self._event()
        if isinstance(event, ContentWanted):
            for at in range(0, len(errand.content), _PIECE):
                self._session.send_content(errand.content[at : at + _PIECE])
                self._connection.write(self._session.octets_to_send())
                self._connection.deadline = asyncio.get_running_loop().time() + _REPLY
                with contextlib.suppress(ConnectionLostError):  # the next read tells
                    await self._connection.drain()
            self._session.end_content()
            event = await self._event()
        if not isinstance(event, TransactionEnded):
            self._fail("the message was refused", event)
        return tuple(
            Answer(path, _is_accepted(verdict), _words(verdict))
            for path, verdict in zip(errand.forward_paths, event.verdicts, strict=True)
        )

    async def _event(self) -> Event:
        """Talk until the session has something to tell."""
        session, connection = self._session, self._connection
        awaited = None
        while True:
            event = session.next_event()
            if octets := session.octets_to_send():
                connection.write(octets)
            if not isinstance(event, NeedOctets):
                return event
            if awaited != session.awaited:  # a whole reply has its time, not each octet of it
                awaited = session.awaited
                patience = _FINAL if session.phase is Phase.FINAL_DOT else _REPLY
                connection.deadline = asyncio.get_running_loop().time() + patience
            try:
                session.receive(await connection.read())
            except ConnectionLostError:
                session.receive(b"")

    def _fail(self, what: str, event: Event) -> NoReturn:
        match event:
            case Ended(cause):
                words = _words(cause)
            case TlsRefused(reply):
                words = reply.words
            case LoginRefused(reply, more):
                words = ": ".join(w for w in (reply.words if reply else "", more) if w)
            case _:
                words = "an answer out of turn"
        msg = f"{self._errand.server}: {what}: {words}"
        raise SendFailedError(msg)


def _is_accepted(verdict: Verdict) -> bool:
    return isinstance(verdict, ServerReply) and verdict.code // 100 == 2


def _words(verdict: Verdict) -> str:
    return verdict.words if isinstance(verdict, ServerReply) else verdict.text
