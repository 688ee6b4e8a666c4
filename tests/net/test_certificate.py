import os
import shutil
import ssl
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gatepost.model.settings import CertificateSettings, TlsSettings
from gatepost.net.certificate import (
    CertificateError,
    CertificateInvalidError,
    CertificateMissingError,
    CertificateUnreadableError,
    KeyMismatchError,
    make_self_signed,
    read_certificate,
    read_certificates,
)
from gatepost.net.tls import FrontContexts

ONE = make_self_signed(["relay.test", "127.0.0.1"])
OTHER = make_self_signed(["other.test"])


def files(folder: Path, chain: bytes | None, key: bytes | None) -> CertificateSettings:
    settings = CertificateSettings(certificate=folder / "cert.pem", private_key=folder / "key.pem")
    if chain is not None:
        settings.certificate.write_bytes(chain)
    if key is not None:
        settings.private_key.write_bytes(key)
    return settings


def encrypted(key: bytes) -> bytes:
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def test_a_certificate_is_read_with_names_and_dates(tmp_path: Path):
    certificate = read_certificate(files(tmp_path, *ONE))
    assert certificate.names == ("relay.test",)
    assert certificate.key_kind == "EC"
    assert certificate.expires_at - certificate.starts_at == timedelta(days=825)
    assert certificate.file == str(tmp_path / "cert.pem")
    assert b"PRIVATE" not in repr(certificate).encode()


@pytest.mark.parametrize(
    ("chain", "key", "kind", "file", "words"),
    [
        (None, ONE[1], CertificateMissingError, "cert.pem", "no such file"),
        (ONE[0], None, CertificateMissingError, "key.pem", "private_key in \\[tls\\]"),
        (ONE[0], OTHER[1], KeyMismatchError, "key.pem", "does not belong"),
        (b"", ONE[1], CertificateInvalidError, "cert.pem", "no PEM certificate"),
        (ONE[1], ONE[1], CertificateInvalidError, "cert.pem", "no PEM certificate"),
        (ONE[0].replace(b"M", b"N", 3), ONE[1], CertificateInvalidError, "cert.pem", "damaged"),
        (ONE[0], b"hello", CertificateInvalidError, "key.pem", "no usable PEM private key"),
        (ONE[0], encrypted(ONE[1]), CertificateInvalidError, "key.pem", "openssl pkey"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_mend(
    tmp_path: Path, chain: bytes | None, key: bytes | None, kind: type, file: str, words: str
):
    with pytest.raises(CertificateError, match=words) as caught:
        read_certificate(files(tmp_path, chain, key))
    assert type(caught.value) is kind
    assert caught.value.file.endswith(file)
    assert caught.value.mend


NOISE = b"Bag Attributes\n    friendlyName: M\xfcller\nCertificate:\n    Data:\n"


@pytest.mark.parametrize(
    ("chain", "key"),
    [
        (NOISE + ONE[0], ONE[1]),
        (ONE[1] + ONE[0], ONE[0] + ONE[1]),
        (ONE[0] + NOISE + OTHER[0], NOISE + ONE[1] + NOISE),
        (ONE[0].replace(b"\n", b"\r\n"), ONE[1].replace(b"\n", b"\r\n")),
    ],
    ids=["text before", "both in one file", "words that are not UTF-8", "CRLF"],
)
def test_of_what_stands_around_a_certificate_nothing_is_kept(
    tmp_path: Path, chain: bytes, key: bytes
):
    certificate = read_certificate(files(tmp_path, chain, key))
    assert certificate.chain == ONE[0] + (OTHER[0] if OTHER[0] in chain else b"")
    assert certificate.key.replace(b"\r", b"").strip() == ONE[1].strip()
    assert certificate.leaf == ssl.PEM_cert_to_DER_cert(ONE[0].decode())
    FrontContexts([certificate])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ecparam -genkey -noout -name secp160r1", "curve"),
        ("ecparam -genkey -noout -name SM2", "curve"),
        ("dsa", "kind of key"),
    ],
)
def test_a_key_of_a_kind_that_nobody_can_use_is_said(tmp_path: Path, command: str, words: str):
    settings = files(tmp_path, None, None)
    key, certificate = settings.private_key, settings.certificate
    if command == "dsa":
        parameters = tmp_path / "parameters"
        openssl("dsaparam", "-out", parameters, "2048")
        openssl("gendsa", "-out", key, parameters)
    else:
        openssl(*command.split(), "-out", key)
    openssl("req", "-x509", "-new", "-key", key, "-out", certificate, "-subj", "/CN=a.test")
    with pytest.raises(CertificateInvalidError, match=words):
        read_certificate(settings)


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def test_a_directory_is_no_certificate(tmp_path: Path):
    with pytest.raises(CertificateUnreadableError, match="is a directory"):
        read_certificate(
            CertificateSettings(certificate=tmp_path, private_key=tmp_path / "key.pem")
        )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_we_may_not_read_is_said(tmp_path: Path):
    settings = files(tmp_path, *ONE)
    settings.private_key.chmod(0)
    with pytest.raises(CertificateUnreadableError, match="permission denied"):
        read_certificate(settings)


def test_all_certificates_are_read_in_order(tmp_path: Path):
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    one = files(first, *ONE)
    settings = TlsSettings(
        certificate=one.certificate, private_key=one.private_key, more=(files(second, *OTHER),)
    )
    assert [c.names for c in read_certificates(settings)] == [("relay.test",), ("other.test",)]


@pytest.mark.parametrize(
    ("days", "words"),
    [(-2, "not valid before"), (1, None), (812, "expires on"), (825, "expired on")],
)
def test_dates_are_only_a_warning(tmp_path: Path, days: int, words: str | None):
    certificate = read_certificate(files(tmp_path, *ONE))
    warning = certificate.warning(certificate.starts_at + timedelta(days=days))
    assert (warning is None) if words is None else (words in (warning or ""))
    FrontContexts([certificate])


def test_contexts_are_made_from_octets_that_no_file_holds_any_more(tmp_path: Path):
    settings = files(tmp_path, *ONE)
    certificate = read_certificate(settings)
    settings.certificate.unlink()
    settings.private_key.unlink()
    FrontContexts([certificate]).new_context()


def test_a_context_without_memory_files_is_made_from_a_private_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    FrontContexts([read_certificate(files(tmp_path, *ONE))])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cert.pem", "key.pem"]


def test_a_broken_reload_keeps_the_former_certificates(tmp_path: Path):
    good = read_certificate(files(tmp_path, *ONE))
    fronts = FrontContexts([good])
    before = fronts._choice
    bad = replace(good, key=OTHER[1])
    with pytest.raises(CertificateInvalidError):
        fronts.replace([bad])
    assert fronts._choice is before


def test_a_self_signed_certificate_is_its_own_authority(tmp_path: Path):
    settings = files(tmp_path, *ONE)
    context = ssl.create_default_context(cafile=settings.certificate)
    assert context.cert_store_stats()["x509_ca"] == 1
    with pytest.raises(ValueError):
        make_self_signed([])


def test_talking_over_tcp_needs_no_x509_library():
    code = "import sys, gatepost.net.transport, gatepost.net.dialer; print('cryptography' in sys.modules, 'dns' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]
