"""One session with one host: dial, greet, STARTTLS, log in, and then transactions.

The client session decides what is said; here it gets a connection and a clock. Every wait has its
deadline (RFC 5321 §4.5.3.2).
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lookup import Ourselves
from gatepost.delivery.site import Kind, Site, Target
from gatepost.delivery.site_queue import Leaves
from gatepost.delivery.tokens import TokenFailedError, UpstreamTokens
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.route import ClientCertificate, TlsMode, UpstreamLogin
from gatepost.net.certificate import CertificateInvalidError
from gatepost.net.channel_facts import channel_facts
from gatepost.net.connection import Connection, ConnectionLostError, DeadlineError
from gatepost.net.deadlines import Deadlines
from gatepost.net.dialer import DialFailedError, SourceMissingError, dial
from gatepost.net.tls_channel import TlsFailedError
from gatepost.returns.outcome import (
    LOGIN_FAILED,
    LOOP,
    NO_CONNECTION,
    TLS_FAILED,
    TLS_MISSING,
    Spoken,
    deferred,
    from_login_refusal,
    from_session_reply,
    from_verdict,
    refused,
)
from gatepost.wire.sasl.exchange import ClientCredentials
from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import (
    ContentWanted,
    Dialect,
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
from gatepost.wire.smtp.extensions import Channel, Offers
from gatepost.wire.smtp.reply_reader import ServerReply
from gatepost.wire.values import changed

#: Returns the context for a next hop that must be verified (True) or may be anybody (False), to
#: which a certificate of ours is shown.
Contexts = Callable[[bool, ClientCertificate | None], ssl.SSLContext]


class LinkFailedError(Exception):
    """There is no session with this host. `outcome` says why; `tls_only`: clear would do."""

    def __init__(self, outcome: Outcome, *, tls_only: bool = False) -> None:
        super().__init__(outcome.words)
        self.outcome = outcome
        self.tls_only = tls_only


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a link needs of the world."""

    ourselves: Ourselves
    bounds: Bounds
    deadlines: Deadlines
    contexts: Contexts
    tokens: UpstreamTokens = field(default_factory=UpstreamTokens)


class Link:
    """A session that is ready for transactions. Made by `open_link`."""

    __slots__ = (
        "_around", "_call", "_connection", "_loop", "_session", "_shown", "_since", "_size", "_slow",
        "_spoken",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, session: ClientSession, call: "Call", around: Surroundings
    ) -> None:
        self._connection = connection
        self._session = session
        self._call = call
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._slow = False
        #: When it was made, or its present transaction began, and the octets of that.
        self._since = self._loop.time()
        self._size = 0
        self._spoken: Spoken | None = None
        self._shown: ClientCertificate | None = None

    @property
    def spoken(self) -> Spoken:
        """Whom we speak to, and how."""
        if self._spoken is None:
            tls = self._connection.tls
            words = f"{tls.version} {tls.cipher}" if tls else ""
            target = self._call.target
            self._spoken = Spoken(target.name, str(target.address), words, self._call.source or "")
        return self._spoken

    @property
    def is_usable(self) -> bool:
        """Whether another transaction may begin: the session stands, and nothing came unasked."""
        return (
            self._session.phase is Phase.READY
            and self._connection.is_open
            and not self._connection.unread
            and not self._session.unread
        )

    @property
    def offers(self) -> Offers:
        """What the other side said it can do."""
        return self._session.offers

    @property
    def transactions(self) -> int:
        """How many transactions it has carried."""
        return self._session.transactions

    async def verdicts(
        self, envelope: Envelope, pieces: Sequence[bytes], may_end: Callable[[], bool]
    ) -> tuple[Verdict, ...]:
        """Carry one message; return what was said to each forward-path, in order.

        `may_end` is asked before the final dot: on False the connection is dropped instead.

        Raises:
            ValueError: a path does not fit into a command: it never came through our door.

        """
        self._since, self._size = self._loop.time(), envelope.size
        self._session.begin(envelope)
        event = await self._next()
        if isinstance(event, ContentWanted):
            await self._send(pieces, may_end)
            event = await self._next()
        self._connection.deadline = None
        if not isinstance(event, TransactionEnded):
            raise TypeError(event)
        return event.verdicts

    async def rehearsed(self, envelope: Envelope) -> tuple[Verdict, ...]:
        """Return what would be said to each forward-path, in order; no content is sent.

        Raises:
            ValueError: as `verdicts` does.

        """
        self._session.rehearse(envelope)
        event = await self._next()
        self._connection.deadline = None
        if not isinstance(event, TransactionEnded):
            raise TypeError(event)
        return event.verdicts

    def verdicts_so_far(self) -> tuple[Verdict, ...]:
        """Return what was said to each forward-path, where the final dot was sent and the answer is
        not waited for any more; () where no final dot was sent.
        """
        if self._session.phase is not Phase.FINAL_DOT:
            return ()
        self._slow = True
        self._session.receive(b"")
        event = self._session.next_event()
        return event.verdicts if isinstance(event, TransactionEnded) else ()

    def outcome(self, verdict: Verdict) -> Outcome:
        """Return what a verdict of `verdicts` means."""
        outcome = from_verdict(verdict, self.spoken, slow=self._slow)
        if outcome.kind is not OutcomeKind.DELIVERED:
            return outcome
        reports = self._session.offers.dsn
        in_mailbox = self._session.dialect is Dialect.LMTP
        if not reports and not in_mailbox:
            return outcome
        return changed(outcome, reports=reports, in_mailbox=in_mailbox)

    async def close(self) -> None:
        """Say QUIT, where there is anybody to hear it, and close. The reply is not waited for."""
        if self._session.phase is Phase.READY and self._connection.is_open:
            self._session.quit()
            self._connection.write(self._session.octets_to_send())
        await self._connection.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._connection.abort()

    def leave(self, missing: Callable[[str], bool]) -> None:
        """Drop the connection where this machine lacks the address that it comes from: no answer
        will come. After the final dot it is waited for all the same.
        """
        source = self._call.source
        if source and missing(source) and self._session.phase is not Phase.FINAL_DOT:
            self._connection.abort()

    def hurry(self, now: float) -> None:
        """Give up a host that has kept us waiting for longer than is fair while others wait for the
        place.
        """
        if self._connection.deadline is None:
            return
        size = self._size if self._session.transactions else None
        if now - self._since >= self._around.bounds.hurried(self._session.phase, size):
            self._connection.deadline = now

    # -- the beginning of a session

    async def begin(self, site: Site, *, use_tls: bool) -> None:
        """Greet, and go over to TLS and log in as the site demands.

        Raises:
            LinkFailedError: it is not to be had.

        """
        verify = site.tls in {TlsMode.REQUIRED, TlsMode.IMPLICIT}
        self._shown = site.login.certificate if site.login else None
        if site.tls is TlsMode.IMPLICIT:
            await self._shake_hands(verify=True)
        ready = await self._ready()
        if use_tls and self._session.channel is Channel.CLEAR:
            if ready.offers.starttls:
                await self._start_tls(verify=verify)
            elif verify:
                raise LinkFailedError(
                    deferred(TLS_MISSING, "TLS is required, and not offered", self.spoken)
                )
        if site.login is not None:
            await self._log_in(site)
        self._connection.deadline = None

    async def _ready(self) -> Ready:
        event = await self._next()
        if isinstance(event, Ended):
            cause = event.cause
            if isinstance(cause, ServerReply):
                about = "unexpected reply"
                raise LinkFailedError(from_session_reply(cause, self.spoken, about))
            raise LinkFailedError(self.outcome(cause))
        if not isinstance(event, Ready):
            raise TypeError(event)
        return event

    async def _start_tls(self, *, verify: bool) -> None:
        self._session.start_tls()
        match await self._next():
            case TlsAccepted():
                await self._shake_hands(verify=verify)
                self._session.tls_established()
                self._spoken = None
                await self._ready()
            case TlsRefused(reply):
                if verify:
                    words = f"TLS is required, and was refused: {reply.words}"
                    raise LinkFailedError(deferred(TLS_MISSING, words, self.spoken))
            case Ended(cause):
                raise LinkFailedError(self.outcome(cause), tls_only=not verify)

    async def _shake_hands(self, *, verify: bool) -> None:
        self._connection.deadline = self._loop.time() + self._around.bounds.handshake
        name = self._call.target.name
        if self._connection.unread:
            words = "octets came before the TLS handshake"
            raise LinkFailedError(deferred(TLS_FAILED, words, self.spoken))
        try:
            context = self._around.contexts(verify, self._shown)
        except CertificateInvalidError as trouble:
            raise LinkFailedError(deferred(LOGIN_FAILED, str(trouble), self.spoken)) from None
        try:
            await self._connection.start_tls(context, server_side=False, server_hostname=name)
        except (TlsFailedError, ConnectionLostError, DeadlineError) as trouble:
            words = f"TLS handshake failed: {trouble}"
            raise LinkFailedError(
                deferred(TLS_FAILED, words, self.spoken), tls_only=not verify
            ) from None

    async def _log_in(self, site: Site) -> None:
        login = site.login
        if login is None:
            return
        if self._session.channel is not Channel.TLS:
            raise LinkFailedError(deferred(TLS_MISSING, "no login without TLS", self.spoken))
        token = await self._token(login)
        credentials = ClientCredentials(
            login.username, login.password.reveal(), token, self._call.target.address.port
        )
        facts = channel_facts(self._connection, hostname=self._call.target.name)
        self._session.log_in_as(credentials, facts, mechanism=login.mechanism)
        match await self._next():
            case LoggedIn():
                return
            case LoginRefused(reply, words):
                self._around.tokens.forget(login.token, token)
                raise LinkFailedError(from_login_refusal(reply, self.spoken, words))
            case Ended(cause):
                raise LinkFailedError(self.outcome(cause))

    async def _token(self, login: UpstreamLogin) -> str:
        if login.token is None:
            return ""
        try:
            return await self._around.tokens.token(login.token)
        except TokenFailedError as failure:
            raise LinkFailedError(deferred(LOGIN_FAILED, str(failure), self.spoken)) from None

    # -- octets

    async def _next(self) -> Event:
        """Return the next event, sending and receiving until there is one."""
        session, connection = self._session, self._connection
        awaited = None
        while True:
            if session.phase is Phase.AUTH:  # SCRAM computes for some 0.1 s
                event = await self._loop.run_in_executor(None, session.next_event)
            else:
                event = session.next_event()
            if octets := session.octets_to_send():
                connection.write(octets)
            if not isinstance(event, NeedOctets):
                return event
            # A whole reply has its time, not each octet of it: who drips shall not hold us.
            if awaited != session.awaited:
                awaited = session.awaited
                patience = self._around.bounds.patience[session.phase]
                connection.deadline = self._loop.time() + patience
            try:
                session.receive(await connection.read())
            except ConnectionLostError:
                session.receive(b"")
            except DeadlineError:
                self._slow = True
                session.receive(b"")
                connection.abort()

    async def _send(self, pieces: Sequence[bytes], may_end: Callable[[], bool]) -> None:
        """Send the content; a loss in its midst is found by the next `_next`."""
        session, connection = self._session, self._connection
        limit = self._around.bounds.piece
        waiting = 0
        try:
            for octets in pieces:
                for begin in range(0, len(octets), limit):
                    piece = octets if len(octets) <= limit else octets[begin : begin + limit]
                    session.send_content(piece)
                    waiting += len(piece)
                    if waiting >= limit:
                        connection.write(session.octets_to_send())
                        patience = self._around.bounds.patience[Phase.CONTENT]
                        connection.deadline = self._loop.time() + patience
                        await connection.drain()
                        waiting = 0
        except ConnectionLostError:
            return
        except DeadlineError:
            self._slow = True
            connection.abort()
            return
        if may_end():
            session.end_content()
        else:
            connection.abort()


@dataclass(frozen=True, slots=True)
class Call:
    """Whom to call, from which IP address of ours (None: the system's choice), and by which name."""

    target: Target
    source: str | None
    name: str


async def open_link(
    site: Site, call: Call, around: Surroundings, links: list[Leaves], *, use_tls: bool
) -> Link:
    """Return a session with one address; it is among `links` from the moment that it is made.

    Raises:
        LinkFailedError: there is none.
        SourceMissingError: this machine does not have the address to call from.

    """
    target = call.target
    spoken = Spoken(target.name, str(target.address), source=call.source or "")
    try:
        connection = await dial(
            target.address,
            source=call.source,
            timeout=around.bounds.dial,
            deadlines=around.deadlines,
        )
    except SourceMissingError:
        raise
    except DialFailedError as trouble:
        raise LinkFailedError(
            deferred(NO_CONNECTION, f"no connection: {trouble.reason}", spoken)
        ) from None
    if site.kind is Kind.SMTP and around.ourselves.answers(connection.local, connection.peer):
        connection.abort()
        raise LinkFailedError(
            refused(LOOP, "mail loop: the next hop is this machine's own listener", spoken)
        )
    dialect = Dialect.LMTP if site.kind is Kind.LMTP else Dialect.SMTP
    channel = Channel.TLS if site.tls is TlsMode.IMPLICIT else Channel.CLEAR
    session = ClientSession(call.name, dialect, channel)
    link = Link(connection, session, call, around)
    links.append(link)
    try:
        await link.begin(site, use_tls=use_tls)
    except BaseException:
        links.remove(link)
        connection.abort()
        raise
    return link
