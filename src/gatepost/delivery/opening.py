"""The beginning of a session with a host: greeting, STARTTLS, login."""

from gatepost.delivery.link_parts import LinkFailedError, Surroundings
from gatepost.delivery.site import Site
from gatepost.delivery.talk import Talk
from gatepost.delivery.tokens import TokenFailedError
from gatepost.model.route import TlsMode, UpstreamLogin
from gatepost.net.certificate import CertificateInvalidError
from gatepost.net.channel_facts import channel_facts
from gatepost.net.connection import ConnectionLostError, DeadlineError
from gatepost.net.tls_channel import TlsFailedError
from gatepost.returns.outcome import (
    LOGIN_FAILED,
    TLS_FAILED,
    TLS_MISSING,
    deferred,
    from_login_refusal,
    from_session_reply,
)
from gatepost.wire.sasl.exchange import ClientCredentials
from gatepost.wire.smtp.client_events import (
    Ended,
    LoggedIn,
    LoginRefused,
    Ready,
    TlsAccepted,
    TlsRefused,
)
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.reply_reader import ServerReply


class Opening:
    """Makes a talk one in which transactions may begin."""

    __slots__ = ("_around", "_site", "_talk")

    def __init__(self, talk: Talk, site: Site, around: Surroundings) -> None:
        self._talk = talk
        self._site = site
        self._around = around

    async def begin(self, *, use_tls: bool) -> None:
        """Greet, and go over to TLS and log in as the site demands.

        Raises:
            LinkFailedError: it is not to be had.

        """
        site = self._site
        verify = site.tls in {TlsMode.REQUIRED, TlsMode.IMPLICIT}
        if site.tls is TlsMode.IMPLICIT:
            await self._shake_hands(verify=True)
        ready = await self._ready()
        if use_tls and self._talk.session.channel is Channel.CLEAR:
            if ready.offers.starttls:
                await self._start_tls(verify=verify)
            elif verify:
                raise LinkFailedError(
                    deferred(TLS_MISSING, "TLS is required, and not offered", self._talk.spoken)
                )
        if site.login is not None:
            await self._log_in(site.login)
        self._talk.connection.deadline = None

    async def _ready(self, *, tls_only: bool = False) -> Ready:
        event = await self._talk.next()
        if isinstance(event, Ended):
            cause = event.cause
            if isinstance(cause, ServerReply):
                about = "unexpected reply"
                raise LinkFailedError(from_session_reply(cause, self._talk.spoken, about))
            raise LinkFailedError(self._talk.outcome(cause), tls_only=tls_only)
        if not isinstance(event, Ready):
            raise TypeError(event)
        return event

    async def _start_tls(self, *, verify: bool) -> None:
        self._talk.session.start_tls()
        match await self._talk.next():
            case TlsAccepted():
                await self._shake_hands(verify=verify)
                self._talk.tls_established()
                # In TLS 1.3 a server that does not agree is heard only behind the handshake.
                await self._ready(tls_only=not verify)
            case TlsRefused(reply):
                if verify:
                    words = f"TLS is required, and was refused: {reply.words}"
                    raise LinkFailedError(deferred(TLS_MISSING, words, self._talk.spoken))
            case Ended(cause):
                raise LinkFailedError(self._talk.outcome(cause), tls_only=not verify)

    async def _shake_hands(self, *, verify: bool) -> None:
        self._talk.connection.deadline = self._talk.loop.time() + self._around.bounds.handshake
        name = self._talk.call.target.name
        if self._talk.connection.unread:
            words = "octets came before the TLS handshake"
            raise LinkFailedError(deferred(TLS_FAILED, words, self._talk.spoken))
        shown = self._site.login.certificate if self._site.login else None
        try:
            context = self._around.contexts(verify, shown)
        except CertificateInvalidError as trouble:
            raise LinkFailedError(deferred(LOGIN_FAILED, str(trouble), self._talk.spoken)) from None
        try:
            await self._talk.connection.start_tls(context, server_side=False, server_hostname=name)
        except (TlsFailedError, ConnectionLostError, DeadlineError) as trouble:
            words = f"TLS handshake failed: {trouble}"
            raise LinkFailedError(
                deferred(TLS_FAILED, words, self._talk.spoken), tls_only=not verify
            ) from None

    async def _log_in(self, login: UpstreamLogin) -> None:
        if self._talk.session.channel is not Channel.TLS:
            raise LinkFailedError(deferred(TLS_MISSING, "no login without TLS", self._talk.spoken))
        token = await self._token(login)
        credentials = ClientCredentials(
            login.username, login.password.reveal(), token, self._talk.call.target.address.port
        )
        facts = channel_facts(self._talk.connection, hostname=self._talk.call.target.name)
        self._talk.session.log_in_as(credentials, facts, mechanism=login.mechanism)
        match await self._talk.next():
            case LoggedIn():
                return
            case LoginRefused(reply, words):
                self._around.tokens.forget(login.token, token)
                raise LinkFailedError(from_login_refusal(reply, self._talk.spoken, words))
            case Ended(cause):
                raise LinkFailedError(self._talk.outcome(cause))

    async def _token(self, login: UpstreamLogin) -> str:
        if login.token is None:
            return ""
        try:
            return await self._around.tokens.token(login.token)
        except TokenFailedError as failure:
            raise LinkFailedError(deferred(LOGIN_FAILED, str(failure), self._talk.spoken)) from None
