"""What a certificate says of its owner, and whether that is the host that was called."""

import warnings
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from gatepost.operate.probe_seen import CertificateSeen

#: cryptography reads parts when they are asked for, and says it in several ways.
_DAMAGED: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def read_certificate(der: bytes) -> CertificateSeen | None:
    """Return what a certificate (DER) says; None when it cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd certificates are what we are looking for
        return _read(der)


def _read(der: bytes) -> CertificateSeen | None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        kind, bits = _key(certificate)
        return CertificateSeen(
            subject=_name(certificate.subject),
            names=_names(certificate),
            issuer=_name(certificate.issuer),
            starts_at=certificate.not_valid_before_utc,
            expires_at=certificate.not_valid_after_utc,
            key_kind=kind,
            key_bits=bits,
            signature=_signature(certificate),
            self_signed=certificate.subject == certificate.issuer,
        )
    except _DAMAGED:
        return None


def is_for(host: str, names: tuple[str, ...]) -> bool:
    """Tell whether a certificate's names cover a host.

    A wildcard stands for one whole label, the first. An IP address must be there as such.
    """
    wanted = host.lower().removesuffix(".")
    try:
        address = ip_address(wanted)
    except ValueError:
        parent = wanted.partition(".")[2]
        return wanted in names or bool(parent and f"*.{parent}" in names)
    return str(address) in names


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()  # the common name counts no more
    hosts = (name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
    addresses = (str(a) for a in extension.value.get_values_for_type(x509.IPAddress))
    return (*hosts, *addresses)


def _name(name: x509.Name) -> str:
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if found := name.get_attributes_for_oid(kind):
            return str(found[0].value)
    return name.rfc4514_string()


def _key(certificate: x509.Certificate) -> tuple[str, int]:
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return "unknown", 0
    match key:
        case rsa.RSAPublicKey():
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return "EC", key.key_size
        case dsa.DSAPublicKey():
            return "DSA", key.key_size
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return "EdDSA", 256
        case _:
            return type(key).__name__.removesuffix("PublicKey"), 0


def _signature(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "unknown"
    return algorithm.name if algorithm else ""
