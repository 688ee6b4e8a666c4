"""What a signature comes to at the edges of its rules, and with which words."""

import base64

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatepost.wire.dkim.verify import (
    MOST_SIGNATURES,
    DkimResult,
    DkimVerdict,
    queries,
    signers,
    verify,
)
from gatepost.wire.message.header import Header, scan
from gatepost.wire.records.dkim_key import KeyType, dkim_key_text
from tests.wire.dkim.corpus import CORPUS
from tests.wire.dkim.keys import DOMAIN, NOW, prefix_for, records
from tests.wire.dkim.vectors import RFC_8463_MESSAGE, RFC_8463_RECORDS, RSA_PEM

NAME = "test._domainkey.football.example.com"
PLAIN = CORPUS["plain"]
P = RFC_8463_RECORDS[NAME][0].partition("p=")[2]


def of_rsa(message: bytes, *texts: str, now: int = NOW) -> DkimVerdict:
    """Return the verdict of the second signature of a message, with other texts for its key."""
    known = {**RFC_8463_RECORDS, NAME: texts} if texts else RFC_8463_RECORDS
    return verify(message, known, now)[1]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"", b"", ""),
        (b"We lost", b"We won", "the body was changed"),
        (b"dinner", b"supper", "the header was changed"),
    ],
)
@pytest.mark.parametrize(("flags", "testing"), [("", False), ("t=y; ", True), ("t=s; ", False)])
def test_a_key_that_is_being_tested_says_so_whatever_the_result(
    old, new, reason, flags, testing
) -> None:
    verdict = of_rsa(RFC_8463_MESSAGE.replace(old, new), f"k=rsa; {flags}p={P}")
    assert verdict.result is (DkimResult.FAIL if reason else DkimResult.PASS)
    assert (verdict.reason, verdict.testing) == (reason, testing)
    assert verdict.signature is not None
    assert verdict.signature.domain == DOMAIN


@pytest.mark.rfc("6376#6.1.2")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p=", "its key was revoked"),
        (f"k=ed25519; p={P}", "its key is of another type"),
        (f"h=sha1; p={P}", "its key is not for SHA-256"),
        (f"s=tlsrpt; p={P}", "its key is not for mail"),
        ("p=AAAA", "its key cannot be read"),
        ("v=spf1 -all", "its key record cannot be used: .*"),
    ],
)
def test_why_a_key_does_not_fit_is_told(text, reason) -> None:
    verdict = of_rsa(RFC_8463_MESSAGE, text)
    assert verdict.result is DkimResult.PERMANENT
    assert not verdict.testing
    assert verdict.reason == reason or reason.endswith(".*")
    assert verdict.reason.startswith(reason.removesuffix(".*"))


@pytest.mark.rfc("6376#3.6.1")
@pytest.mark.parametrize(
    ("identity", "flags", "reason"),
    [
        (b"@football", "t=s; ", ""),
        (b"@below.football", "t=s; ", "its i= must have the domain of d= itself"),
        (b"@below.football", "", "the header was changed"),
    ],
)
def test_a_strict_key_signs_for_its_domain_alone(identity, flags, reason) -> None:
    message = RFC_8463_MESSAGE.replace(b"i=@football", b"i=" + identity)
    assert of_rsa(message, f"{flags}p={P}").reason == reason


@pytest.mark.rfc("6376#3.6.1")
def test_a_strict_key_asks_nothing_of_who_names_no_identity() -> None:
    signed = prefix_for(PLAIN) + PLAIN
    known = {name: (f"{text}; t=s",) for name, (text,) in records().items()}
    verdicts = verify(signed, known, NOW)
    assert [each.signature and each.signature.identity for each in verdicts] == ["", ""]
    assert [each.reason for each in verdicts] == ["", ""]


@pytest.mark.rfc("6376#3.5")
def test_a_signature_holds_to_its_last_second() -> None:
    signed = prefix_for(PLAIN, expires_at=NOW + 60) + PLAIN
    last, late = verify(signed, records(), NOW + 60), verify(signed, records(), NOW + 61)
    assert {each.reason for each in last} == {""}
    assert {(each.result, each.reason) for each in late} == {
        (DkimResult.POLICY, "it has expired")
    }  # fmt: skip


@pytest.mark.rfc("6376#3.5")
def test_a_length_lets_what_follows_be_added_and_nothing_be_taken() -> None:
    signed = dkim.DKIM(PLAIN).sign(b"test", DOMAIN.encode(), RSA_PEM, length=True) + PLAIN
    (whole,) = verify(signed, records(), NOW)
    (longer,) = verify(signed + b"an advertisement\r\n", records(), NOW)
    (shorter,) = verify(signed.removesuffix(b"\r\n")[:-3] + b"\r\n", records(), NOW)
    assert (whole.result, longer.result) == (DkimResult.PASS, DkimResult.PASS)
    assert (shorter.result, shorter.reason) == (
        DkimResult.PERMANENT, "the body is shorter than l=",
    )  # fmt: skip


@pytest.mark.rfc("8301#3.2")
@pytest.mark.parametrize(
    ("bits", "exponent", "reason"),
    [
        (1023, 65537, "its key has 1023 bits only"),
        (1024, 65537, "the header was changed"),
        (4096, 2**32 - 1, "the header was changed"),
        (4096, 2**32 + 1, "its key is larger than a verifier need take"),
        (4097, 65537, "its key is larger than a verifier need take"),
    ],
)
def test_keys_between_the_smallest_and_the_largest_are_used(bits, exponent, reason) -> None:
    numbers = RSAPublicNumbers(exponent, (1 << bits) - 1)
    public = numbers.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    message = RFC_8463_MESSAGE.replace(b"dinner", b"supper")
    assert of_rsa(message, dkim_key_text(KeyType.RSA, public)).reason == reason


def test_a_key_of_another_kind_than_it_says_is_none() -> None:
    """A DER key that load_der_public_key reads, and that is no RSA key."""
    x25519 = base64.b64encode(bytes.fromhex("302a300506032b656e032100") + bytes(range(32)))
    verdict = of_rsa(RFC_8463_MESSAGE, f"k=rsa; p={x25519.decode()}")
    assert (verdict.result, verdict.reason) == (
        DkimResult.PERMANENT, "its key is of another type",
    )  # fmt: skip


def test_each_name_is_looked_up_once_and_each_domain_is_named_once() -> None:
    unreadable = b"DKIM-Signature: v=1\r\n"
    other = prefix_for(PLAIN).replace(b"d=football", b"d=sub.football")
    signed = unreadable + prefix_for(PLAIN) * 2 + other + PLAIN
    header = scan(signed)
    assert isinstance(header, Header)
    assert signers(signed, header) == (DOMAIN, f"sub.{DOMAIN}")
    names = [f"{selector}._domainkey" for selector in ("test", "brisbane")]
    assert queries(signed) == tuple(
        f"{name}.{domain}" for domain in (DOMAIN, f"sub.{DOMAIN}") for name in names
    )


def test_what_stands_behind_too_many_signatures_is_neither_asked_for_nor_judged() -> None:
    late = prefix_for(PLAIN).replace(b"d=football", b"d=late.football")
    signed = b"DKIM-Signature: v=1\r\n" * MOST_SIGNATURES + late + PLAIN
    header = scan(signed)
    assert isinstance(header, Header)
    assert (signers(signed, header), queries(signed)) == ((), ())
    assert len(verify(signed, records(), NOW)) == MOST_SIGNATURES


def test_a_header_that_is_none_has_one_verdict() -> None:
    content = b"\x00no header\r\n\r\n"
    assert queries(content) == ()
    (verdict,) = verify(content, {}, NOW)
    assert verdict.result is DkimResult.PERMANENT
    assert verdict.signature is None
    assert not verdict.testing
