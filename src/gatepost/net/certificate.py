"""Certificates and keys: read with errors that say the mend, told apart by name, made for a start.

Octets and paths in, values out. Whoever may read key files (the supervisor) hands the values down.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatepost.model.settings import CertificateSettings, TlsSettings

_SELF_SIGNED_LIFE: Final = timedelta(days=825)

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
#: What stands around it in the file is nobody's: text of "openssl x509 -text", the certificate,
#: "Bag Attributes" of PKCS #12 (RFC 7468 §2 has parsers ignore it).
_KEY_BLOCK: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL
)
#: Keys that a client of TLS can check with our suites, and what we call them.
_KINDS: Final = {
    rsa.RSAPrivateKey: "RSA",
    ec.EllipticCurvePrivateKey: "EC",
    ed25519.Ed25519PrivateKey: "Ed25519",
    ed448.Ed448PrivateKey: "Ed448",
}
#: What the X.509 library raises for a certificate or key that it cannot take.
_ODD: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class CertificateError(Exception):
    """A certificate or key cannot be used: which file, what is wrong, and the mend."""

    def __init__(self, file: str, problem: str, mend: str) -> None:
        super().__init__(f"{file}: {problem} ({mend})")
        self.file = file
        self.problem = problem
        self.mend = mend


class CertificateMissingError(CertificateError):
    """There is no such file."""


class CertificateUnreadableError(CertificateError):
    """The file is there and we may not, or cannot, read it."""


class CertificateInvalidError(CertificateError):
    """What the file holds is not what it should be."""


class KeyMismatchError(CertificateError):
    """The private key belongs to another certificate."""


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """One chain with its key.

    `chain` and `key` are PEM and nothing else; `leaf` is the first of the chain in DER; `names` the
    subjectAltNames in lower case (wildcards as "*.domain"), `key_kind` "EC", "RSA" …, `file` where
    the chain came from, `expires_at` the leaf's notAfter.
    """

    file: str
    chain: bytes
    key: bytes
    leaf: bytes
    names: tuple[str, ...]
    key_kind: str
    starts_at: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Certificate({self.file!r}, names={self.names!r}, expires_at={self.expires_at})"

    def warning(self, now: datetime) -> str | None:
        """Return what an operator should hear about its dates; None: nothing."""
        if now >= self.expires_at:
            return f"{self.file}: expired on {self.expires_at:%Y-%m-%d}; renew it"
        if now < self.starts_at:
            return f"{self.file}: not valid before {self.starts_at:%Y-%m-%d %H:%M} UTC; check the clock"
        if self.expires_at - now < timedelta(days=14):
            return f"{self.file}: expires on {self.expires_at:%Y-%m-%d}; renew it"
        return None


def read_certificates(settings: TlsSettings) -> tuple[Certificate, ...]:
    """Read the default certificate and the further ones, in order.

    Raises:
        CertificateError: the first that cannot be used.

    """
    return tuple(read_certificate(one) for one in (settings, *settings.more))


def read_certificate(settings: CertificateSettings) -> Certificate:
    """Read one chain and its key.

    Raises:
        CertificateMissingError, CertificateUnreadableError, CertificateInvalidError,
        KeyMismatchError: with file and mend.

    """
    chain = _read(settings.certificate, "certificate")
    key = _read(settings.private_key, "private_key")
    return parse_certificate(chain, key, str(settings.certificate), str(settings.private_key))


def parse_certificate(
    chain: bytes, key: bytes, file: str = "certificate", key_file: str = "private key"
) -> Certificate:
    """Take a PEM chain and a PEM key for what they are.

    Raises:
        CertificateInvalidError, KeyMismatchError: with the file named in the arguments.

    """
    certificates = _certificates(chain, file)
    leaf, key_block = certificates[0], _key_block(key, key_file)
    private = _private_key(key_block, key_file)
    kind = _kind(private, key_file)
    try:
        is_its_key = _public(private.public_key()) == _public(leaf.public_key())
        taken = Certificate(
            file=file,
            chain=b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates),
            key=key_block,
            leaf=leaf.public_bytes(serialization.Encoding.DER),
            names=_names(leaf),
            key_kind=kind,
            starts_at=leaf.not_valid_before_utc,
            expires_at=leaf.not_valid_after_utc,
        )
    except _ODD as problem:
        words = f"holds a certificate that cannot be used: {problem}"
        raise CertificateInvalidError(file, words, "fetch or make it again") from None
    if not is_its_key:
        raise KeyMismatchError(
            key_file,
            f"this key does not belong to the certificate in {file}",
            "the first certificate of the file must be the server's own, with its key beside it",
        )
    return taken


def make_self_signed(hostnames: Sequence[str]) -> tuple[bytes, bytes]:
    """Return (certificate PEM, key PEM) for host names or IP addresses: P-256, 825 days.

    For a first start and for trials; nobody trusts it.

    Raises:
        ValueError: no host name is given.

    """
    if not hostnames:
        raise ValueError("a certificate needs a host name")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostnames[0][:64])])
    begin = datetime.now(UTC) - timedelta(hours=1)  # a client's clock may be slow
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + _SELF_SIGNED_LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(h) for h in hostnames]), False)
        # Its own authority, so that it can be given to clients as the one to trust.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def _general_name(hostname: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(hostname))
    except ValueError:
        return x509.DNSName(hostname)


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CertificateMissingError(
            str(path),
            "no such file",
            f'set {setting} in [tls] to the right path, or let "gatepost init" make one',
        ) from None
    except PermissionError:
        raise CertificateUnreadableError(
            str(path),
            "permission denied",
            "let the user that runs gatepost read it, and nobody else",
        ) from None
    except OSError as problem:
        words = (problem.strerror or str(problem)).lower()
        raise CertificateUnreadableError(
            str(path), words, f"{setting} must be a PEM file"
        ) from None


def _certificates(chain: bytes, file: str) -> list[x509.Certificate]:
    begun = chain.count(_BEGIN)
    if not begun:
        raise CertificateInvalidError(
            file,
            "holds no PEM certificate",
            'the file must have "-----BEGIN CERTIFICATE-----" lines',
        )
    try:
        found = x509.load_pem_x509_certificates(chain)
        if len(found) != begun:  # cut off: what is left would be passed over
            raise ValueError(f"{len(found)} of {begun} are whole")
    except _ODD as problem:
        words = f"holds a damaged certificate: {problem}"
        raise CertificateInvalidError(file, words, "fetch or make it again") from None
    return found


def _key_block(key: bytes, file: str) -> bytes:
    found = _KEY_BLOCK.search(key)
    if found is None or not found[0].isascii():
        raise _no_key(file)
    return found[0] + b"\n"


def _no_key(file: str) -> CertificateInvalidError:
    mend = 'it must have "-----BEGIN … PRIVATE KEY-----" lines'
    return CertificateInvalidError(file, "holds no usable PEM private key", mend)


def _private_key(key: bytes, file: str) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(key, password=None)
    except TypeError:
        raise CertificateInvalidError(
            file, "the key is encrypted", 'decrypt it: "openssl pkey -in FILE -out NEWFILE"'
        ) from None
    except UnsupportedAlgorithm as problem:
        words = f"holds a key that cannot be used: {str(problem).lower()}"
        raise CertificateInvalidError(file, words, "use a key of P-256 or RSA") from None
    except ValueError:
        raise _no_key(file) from None


def _kind(key: PrivateKeyTypes, file: str) -> str:
    for kind, name in _KINDS.items():
        if isinstance(key, kind):
            return name
    words = "no client can check this kind of key"
    raise CertificateInvalidError(file, words, "use a key of P-256 or RSA")


def _public(key: object) -> bytes:
    octets: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return octets


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(attribute.value).lower() for attribute in common)
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
