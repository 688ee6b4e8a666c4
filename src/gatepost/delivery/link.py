"""One session with one host: dial, greet, STARTTLS, log in, and then transactions.

The client session decides what is said; `Talk` gives it a connection and a clock.
"""

from collections.abc import Callable, Sequence

from gatepost.delivery.link_parts import Call, LinkFailedError, Surroundings
from gatepost.delivery.opening import Opening
from gatepost.delivery.site import Kind, Site
from gatepost.delivery.site_queue import Leaves
from gatepost.delivery.talk import Talk
from gatepost.model.delivery import Outcome
from gatepost.model.route import TlsMode
from gatepost.net.dialer import DialFailedError, SourceMissingError, dial
from gatepost.returns.outcome import LOOP, NO_CONNECTION, Spoken, deferred, refused
from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import (
    ContentWanted,
    Dialect,
    Envelope,
    Phase,
    TransactionEnded,
    Verdict,
)
from gatepost.wire.smtp.extensions import Channel, Offers


class Link:
    """A session that is ready for transactions. Made by `open_link`."""

    __slots__ = ("_around", "_connection", "_session", "_since", "_size", "_talk")

    def __init__(self, talk: Talk, around: Surroundings) -> None:
        self._talk = talk
        self._connection = talk.connection
        self._session = talk.session
        self._around = around
        #: When it was made, or its present transaction began, and the octets of that.
        self._since = talk.loop.time()
        self._size = 0

    async def begin(self, site: Site, *, use_tls: bool) -> None:
        """Greet, and go over to TLS and log in as the site demands.

        Raises:
            LinkFailedError: it is not to be had.

        """
        await Opening(self._talk, site, self._around).begin(use_tls=use_tls)

    @property
    def spoken(self) -> Spoken:
        """Whom we speak to, and how."""
        return self._talk.spoken

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
        self._since, self._size = self._talk.loop.time(), envelope.size
        self._session.begin(envelope)
        event = await self._talk.next()
        if isinstance(event, ContentWanted):
            await self._talk.send(pieces, may_end)
            event = await self._talk.next()
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
        event = await self._talk.next()
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
        self._talk.is_slow = True
        self._session.receive(b"")
        event = self._session.next_event()
        return event.verdicts if isinstance(event, TransactionEnded) else ()

    def outcome(self, verdict: Verdict) -> Outcome:
        """Return what a verdict of `verdicts` means."""
        return self._talk.outcome(verdict)

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
        source = self._talk.call.source
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
    link = Link(Talk(connection, session, call, around.bounds), around)
    links.append(link)
    try:
        await link.begin(site, use_tls=use_tls)
    except BaseException:
        links.remove(link)
        connection.abort()
        raise
    return link
