"""Channel bindings of a TLS session: "tls-exporter" (RFC 9266), "tls-server-end-point" (RFC 5929 §4).

Python's ssl module offers neither (only "tls-unique", which TLS 1.3 does not have), so OpenSSL is
asked by ctypes, beneath the SSLObject. Where the pointer lies there is CPython's own affair: hence
`is_sound`, which tries it out in a process of its own before anybody relies on it.
"""

import _ssl
import contextlib
import ctypes
import logging
import os
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from typing import Final

from gatepost.net.key_exchange import set_groups

_log: Final = logging.getLogger(__name__)

#: RFC 9266 §2: label, length; the context is empty, which for TLS 1.3 is the same as none.
_LABEL: Final = b"EXPORTER-Channel-Binding"
_LENGTH: Final = 32
#: RFC 9266 §3: before TLS 1.3 the exporter is unique only with the extended master secret.
_VERSION: Final = "TLSv1.3"
#: Seconds for the trial.
_PATIENCE: Final = 30.0
_OLD_HASHES: Final = frozenset({"md5", "sha1"})


@dataclass(frozen=True, slots=True, repr=False)
class ChannelBinding:
    """What ties a login to one TLS session; None: not to be had.

    `former_end_points`: a resumed session is bound to the certificate that began it, and no
    server remembers which of its own that was.
    """

    exporter: bytes | None = None
    end_point: bytes | None = None
    former_end_points: tuple[bytes, ...] = ()


def bindings_of(session: ssl.SSLObject, *, server_side: bool) -> ChannelBinding:
    """Return the bindings of a session whose handshake is done: none below TLS 1.3 (decision 17),
    or where `is_sound` says no.
    """
    if session.version() != _VERSION or not is_sound():
        return ChannelBinding()
    return _bindings(session, server_side=server_side)


def end_point_of(certificate: bytes) -> bytes | None:
    """Return the "tls-server-end-point" of a certificate in DER (RFC 5929 §4.1).

    The hash is that of the certificate's signature, SHA-256 instead of MD5 and SHA-1; None where
    the signature has no hash of its own (Ed25519).
    """
    # Imported here: who only talks needs no X.509 library, and it takes its time to load.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    digest = hashes.Hash(hashes.SHA256() if algorithm.name in _OLD_HASHES else algorithm)
    digest.update(certificate)
    return digest.finalize()


@cache
def is_sound() -> bool:
    """Tell whether the bindings can be had with this Python and this OpenSSL, and groups be chosen
    (`key_exchange`).

    Called before the workers are forked, who then know. The first call runs a process of its own,
    a fifth of a second: a wrong pointer kills that one and not us.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = (sys.executable, "-c", f"import {__name__} as tried; tried.try_out()")
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            env=environment,
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        _log.warning("channel binding could not be tried: %s", trouble)
        return False
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        _log.warning("channel binding does not work: status %d %s", done.returncode, words)
    return done.returncode == 0


def try_out() -> None:
    """Shake hands with ourselves and compare both sides' bindings; run by `is_sound` only.

    Raises:
        SystemExit: 0 when they are the same. Whatever else happens means that they are not.

    """
    from gatepost.net.certificate import make_self_signed  # noqa: PLC0415 - X.509, as above

    chain, key = make_self_signed(["localhost"])
    end_point = end_point_of(ssl.PEM_cert_to_DER_cert(chain.decode("ascii")))
    server, client = _shake_hands(chain + key)
    ours, theirs = _bindings(server, server_side=True), _bindings(client, server_side=False)
    other = _bindings(_shake_hands(chain + key)[0], server_side=True)
    good = (
        server.version() == _VERSION
        and ours.exporter == theirs.exporter != other.exporter
        and ours.end_point == theirs.end_point == end_point
        and len(ours.exporter or b"") == _LENGTH
        and _chooses_groups(chain + key)
    )
    raise SystemExit(0 if good else 1)


def _chooses_groups(chain_and_key: bytes) -> bool:
    """Tell whether two sides that are given groups agree upon one, and upon none where they have
    none in common.
    """
    agreed, other = _shake_hands(chain_and_key, "P-521:P-256", "P-256"), None
    with contextlib.suppress(ssl.SSLError):
        other = _shake_hands(chain_and_key, "P-521:P-256", "P-384")
    return agreed[0].version() == _VERSION and other is None


def _shake_hands(
    chain_and_key: bytes, ours: str = "", theirs: str = ""
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends of a session within this process, server first; groups of both, if any."""
    front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # 0600
        file.write(chain_and_key)
        file.flush()
        front.load_cert_chain(file.name)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    for context, groups in ((front, ours), (trusting, theirs)):
        if groups:
            set_groups(context, groups)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = front.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(2):  # flights of each
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return server, client


# -- beneath the SSLObject


def _bindings(session: ssl.SSLObject, *, server_side: bool) -> ChannelBinding:
    pointer = _pointer(session)
    if server_side:
        certificate = _own_certificate(pointer)
    else:
        certificate = session.getpeercert(binary_form=True)
    end_point = end_point_of(certificate) if certificate else None
    return ChannelBinding(_exporter(pointer), end_point)


def _pointer(session: ssl.SSLObject) -> int:
    """Return OpenSSL's `SSL *`: the second field of CPython's PySSLSocket, behind the header and
    a reference (Modules/_ssl.c, 3.11 to 3.13).
    """
    inner = id(session._sslobj)  # type: ignore[attr-defined]  # noqa: SLF001
    place = inner + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    return ctypes.c_void_p.from_address(place).value or 0


def _exporter(pointer: int) -> bytes | None:
    out = ctypes.create_string_buffer(_LENGTH)
    done = _openssl().SSL_export_keying_material(
        pointer, out, _LENGTH, _LABEL, len(_LABEL), None, 0, 0
    )
    return out.raw if done == 1 else None


def _own_certificate(pointer: int) -> bytes | None:
    """Return the certificate that this side has shown, in DER."""
    openssl = _openssl()
    certificate = openssl.SSL_get_certificate(pointer)
    if not certificate:
        return None
    size = openssl.i2d_X509(certificate, None)
    if size <= 0:
        return None
    out = ctypes.create_string_buffer(size)
    end = ctypes.c_char_p(ctypes.addressof(out))
    openssl.i2d_X509(certificate, ctypes.byref(end))
    return bytes(out.raw)


@cache
def _openssl() -> ctypes.CDLL:
    """Return the OpenSSL that the ssl module itself uses: its symbols are found through it."""
    library = ctypes.CDLL(getattr(_ssl, "__file__", None))
    library.SSL_export_keying_material.restype = ctypes.c_int
    library.SSL_export_keying_material.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int,
    ]  # fmt: skip
    library.SSL_get_certificate.restype = ctypes.c_void_p
    library.SSL_get_certificate.argtypes = [ctypes.c_void_p]
    library.i2d_X509.restype = ctypes.c_int
    library.i2d_X509.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return library
