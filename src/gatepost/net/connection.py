"""One TCP connection as octets, clear or TLS: the thin part beneath every dialogue.

Written for one task that reads and writes, and for an event loop that calls. Octets that are
already there are handed out without a future; what is written between two reads leaves as one
flight; no connection has a timer of its own (`deadlines`).
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from gatepost.net.address import SocketAddress, from_socket_name
from gatepost.net.channel_binding import ChannelBinding
from gatepost.net.deadlines import Deadlines
from gatepost.net.landing import SMALL, landing_of_this_thread
from gatepost.net.tls_channel import TlsChannel, TlsFailedError, TlsInfo

#: Inside content reading from the peer stops while more than this waits unread, and goes on below
#: the other. Elsewhere it stops at `SMALL`, and goes on when somebody waits for more.
READ_HIGH: Final = 256 * 1024
READ_LOW: Final = 64 * 1024
#: What is written leaves by itself once so much has gathered.
WRITE_FLIGHT: Final = 64 * 1024
#: Seconds that `close` gives the peer to take our last octets.
CLOSE_GRACE: Final = 2.0


class ConnectionLostError(Exception):
    """The connection is gone: reset, aborted, or no longer TLS."""


class DeadlineError(Exception):
    """`Connection.deadline` has passed. One may still write a last word, and close."""


class Connection(asyncio.BufferedProtocol):
    """One TCP connection. Made by `serve` and `dial` only.

    `in_content`: much is to come and somebody takes it. Without it a peer that talks on, whoever he
    is, makes us keep 32 KiB here and as much in the session.

    `deadline`, in seconds of loop.time(), bounds whatever is waited for; None: no bound. It
    strikes up to a quarter of a second late. `tls` is None while the channel is clear.
    """

    __slots__ = (
        "_broken", "_channel", "_closers", "_closing", "_deadlines", "_drainer", "_ended",
        "_expired", "_handshaking", "_is_server", "_landing", "_loop", "_lost", "_on_made",
        "_owing", "_plain", "_reader", "_reading_paused", "_received", "_received_size",
        "_transport", "_writing", "_writing_paused", "_writing_size", "deadline", "in_content",
        "local", "peer", "tls",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        *,
        on_made: Callable[["Connection"], None] | None = None,
    ) -> None:
        self.peer = self.local = SocketAddress("", 0)
        self.tls: TlsInfo | None = None
        self.deadline: float | None = None
        self.in_content = False
        self._landing = landing_of_this_thread()
        self._loop = loop
        self._deadlines = deadlines
        self._on_made = on_made
        self._is_server = on_made is not None
        self._transport: asyncio.Transport
        self._channel: TlsChannel | None = None
        self._received: list[bytes | memoryview] = []  # short; an empty deque takes 600 octets
        self._received_size = 0
        self._plain = b""
        self._writing: list[bytes] = []
        self._writing_size = 0
        self._reader: asyncio.Future[None] | None = None
        self._drainer: asyncio.Future[None] | None = None
        self._closers: list[asyncio.Future[None]] = []
        self._handshaking = self._reading_paused = self._writing_paused = False
        self._ended = self._lost = self._closing = self._expired = self._owing = False
        self._broken = ""

    # -- for the task that holds the dialogue

    async def read(self) -> bytes:
        """Return the next octets; b"" when the peer has closed. What was written leaves first.

        A server hears nothing more from a peer that does not take its replies.

        Raises:
            ConnectionLostError: there is nobody to read from.
            DeadlineError: the deadline has passed.

        """
        if self._writing or self._owing:
            self.flush()
        if self._writing_paused and self._is_server:
            await self.drain()
        if self._expired:
            self._check_deadline()
        while True:
            if octets := self._take():
                return octets
            if self._ended:
                return b""
            self._check_lost()
            if self._reading_paused:
                self._resume_reading()
            self._reader = reader = self._loop.create_future()
            try:
                await reader
            finally:
                self._reader = None

    def give_back(self, octets: bytes) -> None:
        """Have the last octets that were read, in clear, read again, by TLS if it begins now."""
        if octets:
            self._received.insert(0, octets)
            self._received_size += len(octets)

    def write(self, octets: bytes) -> None:
        """Send octets, at the next `read`, `drain`, `flush` or `close` at the latest.

        A large content is written in pieces with `drain` between them.
        """
        self._writing.append(octets)
        self._writing_size += len(octets)
        if self._writing_size >= WRITE_FLIGHT:
            self.flush()

    def flush(self) -> None:
        """Send now what was written, as one flight."""
        records = self._flight()
        if records:
            # Not writelines(): asyncio's does not pause who writes, from 3.12.0 to 3.13.1
            # (CVE-2024-12254), and to join 64 KiB takes a microsecond or two.
            self._transport.write(records[0] if len(records) == 1 else b"".join(records))

    def _flight(self) -> list[bytes]:
        """Return what was written, as it goes over the wire; nothing while hands are shaken."""
        if self._handshaking or not (self._writing or self._owing):
            return []
        writing = self._writing
        octets = writing[0] if len(writing) == 1 else b"".join(writing)
        writing.clear()
        self._writing_size = 0
        if self._lost or self._broken or self._closing:
            return []
        if self._channel is None:
            return [octets]
        self._owing = False
        if not octets:
            return self._last_of_handshake(self._channel)
        try:
            return self._channel.encrypt(octets)
        except TlsFailedError as problem:
            self._break(problem.reason)
            return []

    def _last_of_handshake(self, channel: TlsChannel) -> list[bytes]:
        """Return the ticket; without one let the system acknowledge at once what came."""
        if ticket := channel.owed():
            return [ticket]
        if hasattr(socket, "TCP_QUICKACK") and (sock := self._transport.get_extra_info("socket")):
            try:  # for each connection: `suppress` would take longer than the call
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            except OSError:
                return []  # it is gone
        return []

    async def drain(self) -> None:
        """Send what was written and wait while the peer lags behind in reading.

        Raises:
            ConnectionLostError: it will never be read.
            DeadlineError: the deadline has passed.

        """
        self.flush()
        while self._writing_paused and not self._lost:
            if self._expired:
                self._check_deadline()
            self._drainer = drainer = self._loop.create_future()
            try:
                await drainer
            finally:
                self._drainer = None
        self._check_lost()
        # Between a failed write and connection_lost(): who writes in a loop must not spin there.
        if self._transport.is_closing():
            raise ConnectionLostError("the connection is closed")

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        """Turn the channel into TLS, sending what was written in clear before.

        Octets that are unread are taken for a part of the handshake, and never for plaintext.
        After any failure nothing more is sent; the connection is only good for closing.

        Raises:
            TlsFailedError: no agreement, or the peer left.
            ConnectionLostError: the connection broke.
            DeadlineError: the deadline has passed.

        """
        self.flush()
        self._channel = channel = TlsChannel(
            context, server_side=server_side, server_hostname=server_hostname
        )
        self._handshaking = True
        try:
            await self._agree(channel)
        finally:
            if self.tls is None:
                self._handshaking = False
                self._broken = self._broken or "the TLS handshake was not finished"

    def binding(self) -> ChannelBinding:
        """Return what ties a login to this TLS session; nothing in clear and below TLS 1.3."""
        return self._channel.binding() if self.tls and self._channel else ChannelBinding()

    @property
    def unread(self) -> int:
        """How many octets (of plaintext) were received and not yet read."""
        if self._channel is None:
            return self._received_size
        if not self._plain and not self._handshaking:
            self._plain = self._take()
        return len(self._plain)

    @property
    def is_open(self) -> bool:
        """Whether, as far as we were told, the peer still listens and speaks."""
        if self._channel is not None:
            _ = self.unread  # finds a close_notify
        return not (self._ended or self._lost or self._closing or self._broken)

    async def close(self) -> None:
        """Send what was written, take leave, close; within 2 seconds."""
        if self._lost:
            return
        if not self._closing:
            records = self._flight()
            if self._channel is not None and not self._broken:
                records.append(self._channel.close_notify())
            if records:  # the last reply and the end of TLS in one packet
                self._transport.write(b"".join(records))
            self._closing = True
            self.deadline = self._loop.time() + CLOSE_GRACE
            if (self.unread or self._received_size) and not self._ended:
                # The peer is still talking: a close() now would answer it with a reset, which may
                # overtake our last words. Half-close, and hear it out.
                self._transport.write_eof()
                self._received.clear()
                self._resume_reading()
            else:
                self._transport.close()
        closer = self._loop.create_future()
        self._closers.append(closer)
        await closer

    def abort(self) -> None:
        """Drop the connection at once."""
        if not self._lost:
            self._closing = True
            self._transport.abort()

    # -- for the sweeper

    def expire(self) -> None:
        """Wake whoever waits: the deadline has passed."""
        if self._closing:
            self.abort()
            return
        self._expired = True
        for waiter in (self._reader, self._drainer):
            if waiter is not None and not waiter.done():
                waiter.set_exception(DeadlineError("the deadline has passed"))

    # -- for the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; a server's dialogue begins."""
        self._transport = transport = cast("asyncio.Transport", transport)
        self.peer = from_socket_name(transport.get_extra_info("peername"))
        self.local = from_socket_name(transport.get_extra_info("sockname"))
        self._deadlines.add(self)
        if self._on_made is not None:
            self._on_made(self)
            self._on_made = None

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - -1, always
        """Return where octets may land: no more at once than may be kept."""
        return self._landing.large if self.in_content else self._landing.small

    def buffer_updated(self, nbytes: int) -> None:
        """Keep the octets that landed, or give them to TLS where somebody waits for them."""
        if self._closing:
            return
        data = bytes(self._landing.large[:nbytes])
        self._received.append(data)
        self._received_size += len(data)
        reader = self._reader
        if reader is not None and not reader.done():
            channel = self._channel
            if channel is not None and self._handshaking:
                self._shake_hands(channel)
            elif channel is not None:
                # Here, not in the task: half a record shall not wake it.
                self._plain = self._take()
                if not self._plain and not self._ended and not self._broken:
                    return
            if not reader.done() and not self._handshaking:
                reader.set_result(None)
        most = READ_HIGH if self.in_content else SMALL
        if self._received_size > most and not (self._reading_paused or self._closing):
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Note that the peer sends no more; it may still read, so that our side stays open."""
        if self._closing:
            return False
        self._ended = True
        _wake(self._reader)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """All over."""
        self._lost = True
        self._deadlines.discard(self)
        if exc is not None and not self._broken:
            self._broken = str(exc) or type(exc).__name__
        for waiter in (self._reader, self._drainer, *self._closers):
            _wake(waiter)

    def pause_writing(self) -> None:
        """More than the high-water mark waits for the peer."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Go on: the peer has caught up."""
        self._writing_paused = False
        _wake(self._drainer)

    # -- inside

    def _take(self) -> bytes:
        """Return what can be read now."""
        if self._plain:
            octets, self._plain = self._plain, b""
            return octets
        received = self._received
        if self._channel is None:
            if not received:
                return b""
            octets = bytes(received[0]) if len(received) == 1 else b"".join(received)
            received.clear()
            self._received_size = 0
        elif self._handshaking or self._broken:
            return b""
        else:
            try:
                octets = self._channel.decrypt(received)
            except TlsFailedError as problem:
                self._break(problem.reason)
                return b""
            self._ended = self._ended or self._channel.ended
            self._received_size = sum(map(len, received)) if received else 0
        if self._reading_paused and self.in_content and self._received_size <= READ_LOW:
            self._resume_reading()
        return octets

    async def _agree(self, channel: TlsChannel) -> None:
        if self._received or not channel.server_side:  # who is served begins
            self._shake_hands(channel)
        while self._handshaking:
            if self._ended:
                raise TlsFailedError("the other side closed the connection")
            self._check_lost()
            if self._reading_paused:
                self._resume_reading()
            self._reader = reader = self._loop.create_future()
            try:
                await reader
            finally:
                self._reader = None
        if self._broken:
            raise TlsFailedError(self._broken)
        self.tls = channel.info()

    def _shake_hands(self, channel: TlsChannel) -> None:
        try:
            done = channel.shake_hands(self._received)
        except TlsFailedError as problem:
            self._broken = problem.reason
            done = False
        self._received_size = sum(map(len, self._received))
        # A ticket (TLS 1.3) goes with what the task says next, a greeting perhaps; but at its next
        # read at the latest, for it carries the acknowledgement that a client with Nagle's
        # algorithm waits for before it speaks (40 ms). Without one something else must.
        self._owing = done and channel.may_hold_back
        if not self._owing and not self._lost and (owed := channel.owed()):
            self._transport.write(owed)
        if done or self._broken:
            self._handshaking = False
            _wake(self._reader)

    def _break(self, reason: str) -> None:
        """Send the alert, and nothing else ever: what came is not TLS any more."""
        self._broken = reason
        if self._channel is not None and not self._lost and not self._closing:
            self._transport.write(self._channel.owed())
            self._closing = True
            self.deadline = self._loop.time() + CLOSE_GRACE
            self._transport.close()

    def _resume_reading(self) -> None:
        self._received_size = sum(map(len, self._received))
        if self._reading_paused and not self._lost and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _check_lost(self) -> None:
        if self._lost or self._broken:
            raise ConnectionLostError(self._broken or "the connection is closed")

    def _check_deadline(self) -> None:
        if self.deadline is not None and self._loop.time() >= self.deadline:
            raise DeadlineError("the deadline has passed")
        self._expired = False


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
