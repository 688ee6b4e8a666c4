"""Client certificates: known by the SHA-256 of their DER, and by nothing that they say."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gatepost.model.account import Credential
from gatepost.model.secret import Secret

_PREFIX: Final = "sha256:"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that may be registered: DER, subject in words, last day."""

    der: bytes
    subject: str
    expires_at: datetime


def read_client_certificate(octets: bytes) -> ClientCertificate:
    """Return the first certificate of a PEM file, or a DER one.

    Raises:
        ValueError: it is neither; or it may not be used as a client's: the words say so.

    """
    if b"-----BEGIN" in octets:
        found = x509.load_pem_x509_certificate(octets)
    else:
        found = x509.load_der_x509_certificate(octets)
    _check_purpose(found)
    der = found.public_bytes(Encoding.DER)
    return ClientCertificate(der, found.subject.rfc4514_string(), found.not_valid_after_utc)


def _check_purpose(found: x509.Certificate) -> None:
    """Refuse what OpenSSL would refuse in every handshake (RFC 5280 §4.2.1.12)."""
    try:
        purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    wanted = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if not wanted.intersection(purposes):
        msg = "its extended key usage is not for clients"
        raise ValueError(msg)


def fingerprint(der: bytes) -> Secret:
    """Return the verifier of a certificate: "sha256:" and 64 hexadecimal digits."""
    return Secret(_PREFIX + hashlib.sha256(der).hexdigest())


def der_text(der: bytes) -> Secret:
    """Return DER in base64, as a credential keeps it for the listeners to trust."""
    return Secret(base64.b64encode(der).decode())


def der_of(credential: Credential) -> bytes:
    """Return the DER of a registered certificate; b"" where there is none."""
    return base64.b64decode(credential.recoverable.reveal()) if credential.recoverable else b""
