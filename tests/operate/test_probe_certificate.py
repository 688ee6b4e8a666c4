"""What a certificate says, and for whom it is."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gatepost.net.certificate import make_self_signed
from gatepost.operate.probe_certificate import is_for, read_certificate


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def test_our_own_certificate_is_read() -> None:
    pem, _ = make_self_signed(["relay.test", "*.wild.test", "127.0.0.1"])
    seen = read_certificate(der(pem))
    assert seen is not None
    assert seen.names == ("relay.test", "*.wild.test", "127.0.0.1")
    assert (seen.subject, seen.issuer, seen.self_signed) == ("relay.test", "relay.test", True)
    assert (seen.key_kind, seen.key_bits, seen.signature) == ("EC", 256, "sha256")
    assert seen.starts_at < datetime.now(UTC) < seen.expires_at


def test_an_authority_s_certificate_is_not_self_signed() -> None:
    leaf = trustme.CA().issue_cert("mail.example", key_type=trustme.KeyType.RSA)
    seen = read_certificate(der(leaf.cert_chain_pems[0].bytes()))
    assert seen is not None
    assert (seen.self_signed, seen.key_kind, seen.key_bits) == (False, "RSA", 2048)


def bare(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """A certificate without alternative names."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Old & Sons")])
    now = datetime.now(UTC)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, algorithm)
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def test_an_old_certificate_names_nobody() -> None:
    seen = read_certificate(bare(rsa.generate_private_key(65537, 1024)))
    assert seen is not None
    assert (seen.names, seen.subject, seen.key_bits) == ((), "Old & Sons", 1024)


def test_a_key_without_a_hash_has_no_signature_hash() -> None:
    seen = read_certificate(bare(ed25519.Ed25519PrivateKey.generate()))
    assert seen is not None
    assert (seen.key_kind, seen.signature) == ("EdDSA", "")


@given(st.binary(max_size=200))
def test_garbage_is_no_certificate(octets: bytes) -> None:
    assert read_certificate(octets) is None


@given(st.data())
def test_a_damaged_certificate_never_raises(data: st.DataObject) -> None:
    octets = bytearray(_WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    read_certificate(bytes(octets))


_WHOLE = der(make_self_signed(["relay.test"])[0])


@pytest.mark.parametrize(
    ("host", "names", "yes"),
    [
        ("mail.example", ("mail.example",), True),
        ("MAIL.example.", ("mail.example",), True),
        ("mail.example", ("www.mail.example", "example"), False),
        ("mail.example", ("*.example",), True),
        ("a.mail.example", ("*.example",), False),
        ("example", ("*.example",), False),
        ("mail.example", ("*",), False),
        ("mail.example", ("ma*.example",), False),
        ("mail.example", (), False),
        ("192.0.2.1", ("192.0.2.1",), True),
        ("192.0.2.1", ("*.2.1", "*.0.2.1"), False),
        ("2001:db8::1", (str(ipaddress.ip_address("2001:db8::1")),), True),
    ],
)
def test_for_whom_a_certificate_is(host: str, names: tuple[str, ...], yes: bool) -> None:
    assert is_for(host, names) is yes
