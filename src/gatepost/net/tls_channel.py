"""TLS as octets in, octets out, over `ssl.MemoryBIO`; no socket, no event loop.

The stdlib's own TLS transport is not used: `loop.start_tls()` lets decrypted octets pass before it
returns, and costs more memory and one more write per flight.
"""

import ssl
from dataclasses import dataclass, replace
from typing import Final

from gatepost.net.channel_binding import ChannelBinding, bindings_of

#: The largest plaintext of one TLS record. One SSL_read returns one record at most.
_RECORD: Final = 16384
#: How much ciphertext is given to OpenSSL at once. Its memory BIO never shrinks again, so that this
#: is also what a connection keeps after a large message.
_SLICE: Final = 32768
#: How much plaintext one `decrypt` returns, about.
_ENOUGH: Final = 65536
#: Answers that OpenSSL owes on its own account (key updates). More is somebody's game.
_MOST_OWED: Final = 4096

#: Why OpenSSL says no, in words that a log and a reply may carry.
_WORDS: Final = {
    "HTTP_REQUEST": "plain HTTP on a TLS port",
    "HTTPS_PROXY_REQUEST": "plain HTTP on a TLS port",
    "WRONG_VERSION_NUMBER": "not TLS",
    "UNKNOWN_PROTOCOL": "not TLS",
    "PACKET_LENGTH_TOO_LONG": "not TLS",
    "RECORD_LAYER_FAILURE": "not TLS",
    "UNEXPECTED_MESSAGE": "not TLS",
    "BAD_RECORD_TYPE": "not TLS",
    "LENGTH_TOO_SHORT": "not TLS",
    "LENGTH_MISMATCH": "malformed handshake",
    "UNSUPPORTED_PROTOCOL": "protocol too old",
    "VERSION_TOO_LOW": "protocol too old",
    "TLSV1_ALERT_PROTOCOL_VERSION": "protocol too old",
    "INAPPROPRIATE_FALLBACK": "protocol too old",
    "NO_SHARED_CIPHER": "no shared cipher",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no shared signature algorithm",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "no shared signature algorithm",
    "NO_SUITABLE_KEY_SHARE": "no shared group",
    "NO_SHARED_GROUPS": "no shared group",
    "DH_KEY_TOO_SMALL": "the other side's key is too small",
    "EE_KEY_TOO_SMALL": "the other side's key is too small",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the other side refused: handshake failure",
    "TLSV1_ALERT_UNKNOWN_CA": "the other side does not trust our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the other side does not accept our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the other side does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the other side says that our certificate has expired",
    "TLSV1_UNRECOGNIZED_NAME": "the other side does not know this server name",
    "UNEXPECTED_EOF_WHILE_READING": "the other side closed the connection",
}


class TlsFailedError(Exception):
    """TLS could not be agreed upon. Nothing more may be said on this connection.

    `reason` is short, and safe to show.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What was agreed. `version` is "TLSv1.3", `cipher` OpenSSL's name, `bits` its key length.

    `server_name` is the name asked for by SNI, `peer_certificate` DER, where there was one.
    """

    version: str
    cipher: str
    bits: int
    server_name: str | None = None
    peer_certificate: bytes | None = None
    resumed: bool = False


class NamedSslObject(ssl.SSLObject):
    """An SSLObject that remembers the server name which its client asked for.

    `end_points`: "tls-server-end-point" of every certificate that a resumed session may be from.
    """

    server_name: str | None = None
    end_points: tuple[bytes, ...] = ()


class TlsChannel:
    """One side of one TLS session. `ended`: the peer has said close_notify."""

    __slots__ = (
        "_failed",
        "_incoming",
        "_outgoing",
        "_server_hostname",
        "_session",
        "ended",
        "server_side",
    )

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.server_side = server_side
        self._server_hostname = server_hostname
        self._failed = ""
        self.ended = False
        try:
            self._session = context.wrap_bio(
                self._incoming,
                self._outgoing,
                server_side=server_side,
                server_hostname=server_hostname,
            )
        except ValueError as problem:  # also UnicodeError: a label that IDNA cannot hold
            raise TlsFailedError(f"no usable server name: {problem}") from None

    def shake_hands(self, received: list[bytes | memoryview]) -> bool:
        """Go on with the handshake; True when it is done. `received` is taken from its left.

        What there is to send is fetched with `owed`, also after a failure (the alert).

        Raises:
            TlsFailedError: it will never be done.

        """
        while True:
            if received:
                self._feed(received)
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                if not received:
                    return False
            except ssl.SSLError as problem:
                raise TlsFailedError(_words(problem)) from None
            else:
                return True

    def decrypt(self, received: list[bytes | memoryview]) -> bytes:
        """Return plaintext as far as whole records are there: 64 KiB or a little more at most.

        b"" means that more octets are needed, or that the session has `ended`.

        Raises:
            TlsFailedError: the octets are not what the other side encrypted.

        """
        if self._failed:
            raise TlsFailedError(self._failed)
        pieces: list[bytes] = []
        try:
            self._read_records(received, pieces)
        except ssl.SSLError as problem:
            # The good octets before the bad ones are handed out first; the next call raises.
            self._failed = _words(problem)
            if not pieces:
                raise TlsFailedError(self._failed) from None
        if self._outgoing.pending > _MOST_OWED:
            raise TlsFailedError("too many key updates")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_records(self, received: list[bytes | memoryview], pieces: list[bytes]) -> None:
        read, incoming = self._session.read, self._incoming
        size = 0
        while not self.ended:
            # With records of at most 16 KiB and no read-ahead, nothing is left inside the session
            # once its BIO is empty: no need to run into SSLWantReadError to know.
            if not incoming.pending:
                if not received or size >= _ENOUGH:
                    return
                self._feed(received)
            try:
                piece = read(_RECORD)
            except ssl.SSLWantReadError:
                continue  # it has emptied the BIO and keeps a part of a record
            if piece:
                pieces.append(piece)
                size += len(piece)
            else:
                self.ended = True

    def encrypt(self, octets: bytes) -> list[bytes]:
        """Return the records that carry `octets`, behind what else is owed.

        Raises:
            TlsFailedError: the session is broken.

        """
        write, take = self._session.write, self._outgoing.read
        try:
            if len(octets) <= _RECORD:
                write(octets)
                return [take()]
            view = memoryview(octets)
            records = []
            while view:
                # SSL_write returns after each record (SSL_MODE_ENABLE_PARTIAL_WRITE).
                view = view[write(view[:_RECORD]) :]
                records.append(take())
        except ssl.SSLError as problem:
            raise TlsFailedError(_words(problem)) from None
        return records

    def owed(self) -> bytes:
        """Return what is to be sent on TLS's own account: a flight, an alert, a ticket."""
        return self._outgoing.read()

    @property
    def may_hold_back(self) -> bool:
        """Whether nobody waits for what is owed at the end of the handshake: it is a ticket."""
        return self.server_side and self._session.version() == "TLSv1.3"

    def close_notify(self) -> bytes:
        """Say the last word; the answer is not waited for."""
        try:
            self._session.unwrap()
        except ssl.SSLError:
            # The answer is missing, or octets are still unread: both are fine.
            return self._outgoing.read()
        return self._outgoing.read()

    def info(self) -> TlsInfo:
        """Return what was agreed; after the handshake."""
        session = self._session
        cipher, _, bits = session.cipher() or ("", "", 0)
        return TlsInfo(
            version=session.version() or "",
            cipher=cipher,
            bits=bits,
            server_name=getattr(session, "server_name", None) or self._server_hostname,
            peer_certificate=session.getpeercert(binary_form=True),
            resumed=bool(session.session_reused),
        )

    def binding(self) -> ChannelBinding:
        """Return what ties a login to this session; after the handshake."""
        binding = bindings_of(self._session, server_side=self.server_side)
        session = self._session
        if isinstance(session, NamedSslObject) and session.session_reused and binding.end_point:
            return replace(binding, former_end_points=session.end_points)
        return binding

    def _feed(self, received: list[bytes | memoryview]) -> None:
        octets = received.pop(0)
        if len(octets) > _SLICE:
            view = memoryview(octets)
            received.insert(0, view[_SLICE:])
            octets = view[:_SLICE]
        self._incoming.write(octets)


def _words(problem: ssl.SSLError) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {problem.verify_message}"
    reason = problem.reason or ""
    return _WORDS.get(reason) or reason.replace("_", " ").lower() or "TLS error"
