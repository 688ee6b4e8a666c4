"""TLS contexts: the front ones that a server keeps for life, and a client's.

Python has no ticket-key API. A context has its ticket keys from birth, and children of a fork
inherit them; so front contexts are made before the workers are forked, one for each day, and a
session that one worker began is resumed by any other. They hold no certificate themselves: their SNI
callback hands each handshake to an inner context, and a reload swaps those.
"""

import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

from gatepost.model.route import ClientCertificate
from gatepost.model.settings import ListenerSettings
from gatepost.net.certificate import Certificate, CertificateInvalidError
from gatepost.net.channel_binding import end_point_of, is_sound
from gatepost.net.key_exchange import set_groups
from gatepost.net.ticket_keys import DailyContexts
from gatepost.net.tls_channel import NamedSslObject, TlsFailedError, TlsInfo

__all__ = [
    "FrontContexts",
    "TlsFailedError",
    "TlsInfo",
    "Verification",
    "client_context",
    "context_for_strangers",
    "iana_cipher_name",
]


#: Without one, OpenSSL asks for it on the terminal.
_NO_PASSWORD: Final = ""


#: Certificates, former ones included, whose resumed sessions are known by their channel binding.
_MOST_END_POINTS: Final = 64


class Verification(StrEnum):
    """What a client asks of the server's certificate."""

    #: Nothing: any encryption is better than none (RFC 7435).
    OPPORTUNISTIC = "opportunistic"
    #: A chain to a trusted authority, and the host's name.
    REQUIRED = "required"


class FrontContexts:
    """The contexts of a node's listeners, and the certificates that they show.

    Made before the fork. Each process then replaces certificates for itself, and passes from one
    day's ticket keys to the next by `clock` (seconds), which is the same in all of them.
    """

    def __init__(
        self, certificates: Sequence[Certificate], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._fronts: dict[str, DailyContexts] = {}
        self._certificates = tuple(certificates)
        self._trusted: frozenset[bytes] = frozenset()
        self._choice = _Choice(certificates)
        self._end_points = _end_points(certificates)
        self._tickets = _tickets(certificates)

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """Return what is shown."""
        return self._certificates

    def front_context(self, settings: ListenerSettings) -> ssl.SSLContext:
        """Return a listener's context of today. The first call is before the fork."""
        if settings.address not in self._fronts:
            make = self._asking_context if settings.client_certificates else self.new_context
            self._fronts[settings.address] = DailyContexts(make, self._clock)
        return self._fronts[settings.address].today()

    def pass_on(self) -> None:
        """Let go of ticket keys whose day is over, though nobody came since."""
        for front in self._fronts.values():
            front.today()

    def forget(self) -> None:
        """Let go of all ticket keys: for a process that takes no mail."""
        self._fronts.clear()

    def new_context(self) -> ssl.SSLContext:
        """Return another front context, with ticket keys of its own."""
        context = _quick(_server_context())  # the inner ones add certificates, and nothing else
        context.sslobject_class = NamedSslObject
        context.sni_callback = self._choose
        context.num_tickets = self._tickets
        return context

    def _asking_context(self) -> ssl.SSLContext:
        """Return one that asks for client certificates, and is content with none. Only what is
        registered is trusted, whoever signed it: that is what the flag is for.
        """
        context = self.new_context()
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def replace(self, certificates: Sequence[Certificate]) -> None:
        """Show these certificates from the next handshake on; tickets stay good.

        Raises:
            CertificateInvalidError: OpenSSL refuses one; the former ones stay.

        """
        choice = _choice_that_trusts(certificates, self._trusted)
        known = (*_end_points(certificates), *self._end_points)
        # All or nothing: what could fail has been done.
        self._choice = choice
        self._certificates = tuple(certificates)
        self._end_points = tuple(dict.fromkeys(known))[:_MOST_END_POINTS]
        self._tickets = _tickets(certificates)
        for front in self._fronts.values():
            for context in front:
                context.num_tickets = self._tickets

    def trust_clients(self, certificates: Iterable[bytes]) -> None:
        """Trust these client certificates (DER), and no others, from the next handshake on.

        OpenSSL ends the handshake of a client that shows another one (decision 19). A session that
        is resumed is not looked at again there: whether it logs in is decided at EXTERNAL.
        """
        wanted = frozenset(certificates)
        if wanted == self._trusted:
            return
        if wanted > self._trusted:
            for der in wanted - self._trusted:
                self._choice.trust(der)
        else:  # a context forgets nothing: new ones take its place
            self._choice = _choice_that_trusts(self._certificates, wanted)
        self._trusted = wanted

    def _choose(
        self, session: ssl.SSLObject, server_name: str | None, _front: ssl.SSLContext
    ) -> None:
        # Called without a name, too. An unknown one gets the default certificate: clients that do
        # not verify are served, those that do say it better than an alert could.
        if isinstance(session, NamedSslObject):
            session.server_name = server_name
            session.end_points = self._end_points
        session.context = self._choice.context_for(server_name)


def _tickets(certificates: Iterable[Certificate]) -> int:
    """Return how many tickets a session is given (TLS 1.3; below it there is one in any case).

    One where a session resumed saves signing with RSA: a mail client opens one connection at a time.
    None where all keys are quicker than the ticket is worth: few clients ever show theirs.
    """
    return int(any(certificate.key_kind == "RSA" for certificate in certificates))


def _end_points(certificates: Iterable[Certificate]) -> tuple[bytes, ...]:
    found = (end_point_of(certificate.leaf) for certificate in certificates)
    return tuple(octets for octets in found if octets)


class _Choice:
    """Which certificates are shown for which server name; immutable once made."""

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        if not certificates:
            raise ValueError("TLS needs at least one certificate")
        contexts: dict[tuple[Certificate, ...], ssl.SSLContext] = {}
        self._by_name: dict[str, ssl.SSLContext] = {}
        for name in dict.fromkeys(name for c in certificates for name in c.names):
            chosen = _one_of_each_kind(c for c in certificates if name in c.names)
            if chosen not in contexts:
                contexts[chosen] = _inner_context(chosen)
            self._by_name[name] = contexts[chosen]
        first = certificates[0]
        default = self._by_name.get(first.names[0]) if first.names else None
        self._default = default or _inner_context((first,))

    def trust(self, der: bytes) -> None:
        """Trust one client certificate. OpenSSL looks into the context that a session has when the
        client's certificate comes: that is the inner one.
        """
        for context in {id(c): c for c in (*self._by_name.values(), self._default)}.values():
            context.load_verify_locations(cadata=der)

    def context_for(self, server_name: str | None) -> ssl.SSLContext:
        """Return the context for a name: an exact one, else a wildcard's, else the default."""
        if not server_name:
            return self._default
        name = server_name.lower().rstrip(".")
        found = self._by_name.get(name)
        if found is None:
            _, dot, parent = name.partition(".")
            found = self._by_name.get(f"*.{parent}") if dot else None
        return found or self._default


def _choice_that_trusts(certificates: Sequence[Certificate], clients: Iterable[bytes]) -> _Choice:
    choice = _Choice(certificates)
    for der in clients:
        choice.trust(der)
    return choice


def _one_of_each_kind(certificates: Iterator[Certificate]) -> tuple[Certificate, ...]:
    """Keep the first certificate of each kind of key: OpenSSL shows the one a client can check."""
    chosen: dict[str, Certificate] = {}
    for certificate in certificates:
        chosen.setdefault(certificate.key_kind, certificate)
    return tuple(chosen.values())


#: Suites of TLS 1.2: forward secrecy, and no more. It is Python's own list; distributions build
#: theirs with OpenSSL's, which has pre-shared keys and key exchange by RSA. Without DHE: a server
#: chooses its number, and one of 10 000 bits takes a client 0.6 s (`_quick`).
_SUITES: Final = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"


#: Those of OpenSSL's own groups that are curves, in its order: 0.1 to 2 ms each.
_CURVES: Final = "X25519:P-256:X448:P-521:P-384"
#: RFC 8446 §9.1: everybody has it.
_EVERYBODYS: Final = "prime256v1"
#: Before 3.0 there is none of finite fields in TLS 1.3; from 3.5 on, none beyond 3072 bits (6 ms).
_WITH_SLOW_GROUPS: Final = ((3, 0), (3, 5))


def _quick(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have a context agree upon keys by curves only, and return it.

    The other side chooses among what we offer. A finite field of 8192 bits (RFC 7919) takes 90 ms of
    our event loop, and of the other side nothing: it may say the same number each time, and need not
    know what it leads to (CVE-2002-20001). Where lists cannot be given with this Python it is P-256
    alone: who would have liked another one says hello twice.
    """
    first, end = _WITH_SLOW_GROUPS
    if first <= ssl.OPENSSL_VERSION_INFO[:2] < end:
        if is_sound():
            set_groups(context, _CURVES)
        else:
            context.set_ecdh_curve(_EVERYBODYS)
    return context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _inner_context(certificates: Sequence[Certificate]) -> ssl.SSLContext:
    context = _server_context()
    for certificate in certificates:
        try:
            _load(context, certificate)
        except ssl.SSLError as problem:
            reason = (problem.reason or str(problem)).replace("_", " ").lower()
            raise CertificateInvalidError(
                certificate.file, f"OpenSSL refuses it: {reason}", "use a key of at least 2048 bits"
            ) from None
    return context


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    _load_chain(context, certificate.key + b"\n" + certificate.chain)


def _load_chain(context: ssl.SSLContext, octets: bytes) -> None:
    """Give a context octets that Python only takes from a file."""
    if hasattr(os, "memfd_create"):
        # Without /proc: the long way. (An SSLError is an OSError too, and must pass.)
        with contextlib.suppress(FileNotFoundError, PermissionError):
            descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
            try:
                os.write(descriptor, octets)
                context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_NO_PASSWORD)
            finally:
                os.close(descriptor)
            return
    with tempfile.NamedTemporaryFile() as file:  # 0600
        file.write(octets)
        file.flush()
        context.load_cert_chain(file.name, password=_NO_PASSWORD)


@lru_cache(maxsize=16)
def client_context(
    mode: Verification | str,
    authorities: Path | None = None,
    shown: ClientCertificate | None = None,
) -> ssl.SSLContext:
    """Return the context of a client, shared by all its connections.

    Args:
        mode: "opportunistic" checks nothing, "required" checks chain and host name.
        authorities: PEM file of the authorities to trust instead of the system's.
        shown: our own certificate, for servers that ask for one.

    Raises:
        CertificateInvalidError: `shown` is no certificate with its key.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if Verification(mode) is Verification.OPPORTUNISTIC:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(authorities)
    if shown is not None:
        try:
            _load_chain(context, f"{shown.key.reveal()}\n{shown.chain}".encode())
        except ssl.SSLError as problem:
            reason = (problem.reason or str(problem)).replace("_", " ").lower()
            raise CertificateInvalidError(
                "client_certificate", f"OpenSSL refuses it: {reason}", "write both as PEM"
            ) from None
    return context


def context_for_strangers(
    mode: Verification | str, shown: ClientCertificate | None = None
) -> ssl.SSLContext:
    """Return a client's context for hosts that are anybody's choice: as `client_context`, and nothing
    that is slow.
    """
    return _quick(client_context(mode, shown=shown))


_KEY_EXCHANGES: Final = ("ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA", "DHE-DSS", "ECDHE-PSK", "DHE-PSK")
_BULK: Final = {
    "AES128-GCM": "AES_128_GCM",
    "AES256-GCM": "AES_256_GCM",
    "AES128": "AES_128_CBC",
    "AES256": "AES_256_CBC",
    "AES128-CCM": "AES_128_CCM",
    "AES256-CCM": "AES_256_CCM",
    "AES128-CCM8": "AES_128_CCM_8",
    "AES256-CCM8": "AES_256_CCM_8",
    "CAMELLIA128": "CAMELLIA_128_CBC",
    "CAMELLIA256": "CAMELLIA_256_CBC",
    "ARIA128-GCM": "ARIA_128_GCM",
    "ARIA256-GCM": "ARIA_256_GCM",
    "CHACHA20-POLY1305": "CHACHA20_POLY1305",
}
_HASHES: Final = {"SHA": "SHA", "SHA256": "SHA256", "SHA384": "SHA384"}


@lru_cache(maxsize=64)
def iana_cipher_name(openssl_name: str) -> str:
    """Return the name under which IANA registered a cipher suite (RFC 8314 §4.3).

    TLS 1.3 suites carry it already: "TLS_AES_256_GCM_SHA384". OpenSSL's older names are taken
    apart: "ECDHE-RSA-AES128-GCM-SHA256" is "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256". One that is
    not known comes back as "" and is better left out.
    """
    if openssl_name.startswith("TLS_"):
        return openssl_name
    exchange = next((e for e in _KEY_EXCHANGES if openssl_name.startswith(f"{e}-")), "RSA")
    rest = openssl_name.removeprefix(f"{exchange}-")
    if exchange == "ECDHE-ECDSA" or exchange.startswith("DHE-RSA"):
        rest = rest.replace("ECDHE-", "")
    bulk, _, digest = rest.rpartition("-")
    if rest in _BULK:  # AEAD suites whose hash the name leaves out
        bulk, digest = rest, "" if "CCM" in rest else "SHA256"
    if bulk not in _BULK or (digest and digest not in _HASHES):
        return ""
    name = f"TLS_{exchange.replace('-', '_')}_WITH_{_BULK[bulk]}"
    return f"{name}_{_HASHES[digest]}" if digest else name
