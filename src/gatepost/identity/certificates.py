"""Client certificates: known by the SHA-256 of their DER, and by nothing that they say."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

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
        ValueError: it is neither.

    """
    if b"-----BEGIN" in octets:
        found = x509.load_pem_x509_certificate(octets)
    else:
        found = x509.load_der_x509_certificate(octets)
    der = found.public_bytes(Encoding.DER)
    return ClientCertificate(der, found.subject.rfc4514_string(), found.not_valid_after_utc)


def fingerprint(der: bytes) -> Secret:
    """Return the verifier of a certificate: "sha256:" and 64 hexadecimal digits."""
    return Secret(_PREFIX + hashlib.sha256(der).hexdigest())


def der_text(der: bytes) -> Secret:
    """Return DER in base64, as a credential keeps it for the listeners to trust."""
    return Secret(base64.b64encode(der).decode())


def der_of(credential: Credential) -> bytes:
    """Return the DER of a registered certificate; b"" where there is none."""
    return base64.b64decode(credential.recoverable.reveal()) if credential.recoverable else b""
