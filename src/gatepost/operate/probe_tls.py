"""TLS as a probe tries it: as today's clients do, then without verifying, then as of old."""

import ssl
import warnings
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Final

from gatepost.model.route import ClientCertificate
from gatepost.net.connection import Connection, ConnectionLostError, DeadlineError
from gatepost.net.tls import Verification, client_context
from gatepost.net.tls_channel import TlsFailedError
from gatepost.operate.probe_certificate import read_certificate
from gatepost.operate.probe_seen import TlsSeen

#: How a reason begins where only the certificate was not liked.
_NOT_ACCEPTED: Final = "certificate not accepted: "
#: The reason where the other side speaks in clear.
NOT_TLS: Final = "not TLS"


class Strictness(Enum):
    """What is asked of TLS; each is tried where the one before it fails."""

    VERIFIED = auto()
    UNVERIFIED = auto()
    OUTDATED = auto()


def looser(reason: str) -> Strictness:
    """Return what to try after the verified handshake has failed for this reason."""
    is_certificate = reason.startswith(_NOT_ACCEPTED)
    return Strictness.UNVERIFIED if is_certificate else Strictness.OUTDATED


def prepare(authorities: Path | None) -> None:
    """Read the trusted authorities now: it takes as long as a handshake, and is none."""
    _context(Strictness.VERIFIED, authorities)


async def shake_hands(
    connection: Connection,
    strictness: Strictness,
    host: str,
    authorities: Path | None,
    shown: ClientCertificate | None = None,
) -> str:
    """Shake hands, showing a certificate of ours to who asks for one, until `connection.deadline`; return "" or why it failed."""
    try:
        await connection.start_tls(
            _context(strictness, authorities, shown), server_side=False, server_hostname=host
        )
    except TlsFailedError as trouble:
        return trouble.reason
    except ConnectionLostError as trouble:
        return f"connection lost: {trouble}"
    except DeadlineError:
        return "no answer in time"
    return ""


def tls_seen(connection: Connection, reason: str, strictness: Strictness) -> TlsSeen | None:
    """Return what was agreed; `reason` is why a stricter handshake had failed, "" if none had."""
    tls = connection.tls
    if tls is None:
        return None
    certificate = read_certificate(tls.peer_certificate) if tls.peer_certificate else None
    distrust = reason.removeprefix(_NOT_ACCEPTED)
    is_outdated = strictness is Strictness.OUTDATED
    return TlsSeen(tls.version, tls.cipher, tls.bits, certificate, distrust, is_outdated)


def tls_words(seen: TlsSeen) -> str:
    """Return the timeline's words for a handshake."""
    words = f"{seen.version} {seen.cipher}"
    if (shown := seen.certificate) is not None:
        words += f"; certificate of {shown.subject} by {shown.issuer}, {shown.key_kind} "
        words += f"{shown.key_bits}, until {shown.expires_at:%Y-%m-%d}"
    return words + (", not accepted" if seen.distrust else ", trusted")


@cache
def _context(
    strictness: Strictness, authorities: Path | None, shown: ClientCertificate | None = None
) -> ssl.SSLContext:
    if strictness is Strictness.VERIFIED:
        return client_context(Verification.REQUIRED, authorities, shown)
    if strictness is Strictness.UNVERIFIED:
        return client_context(Verification.OPPORTUNISTIC, shown=shown)
    # To name what an old server speaks. No secret goes over it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
