"""Signatures against the RFCs' vectors, against dkimpy in both directions, and against changes."""

import contextlib
import re

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.dkim.sign import BadKeyError, parse_private_key
from gatepost.wire.dkim.signature import SignatureError, parse_signature
from gatepost.wire.dkim.verify import MOST_SIGNATURES, DkimResult, queries, verify
from gatepost.wire.records.dkim_key import KeyType, dkim_key_text
from tests.wire.dkim.corpus import CORPUS
from tests.wire.dkim.keys import DOMAIN, NOW, prefix_for, records
from tests.wire.dkim.vectors import (
    ED25519_SEED,
    RFC_6376_MESSAGE,
    RFC_6376_RECORDS,
    RFC_8463_MESSAGE,
    RFC_8463_RECORDS,
    RSA_PEM,
)

PASSES = [DkimResult.PASS, DkimResult.PASS]


def results(message: bytes, known=None, now: int = NOW) -> list[DkimResult]:
    return [v.result for v in verify(message, records() if known is None else known, now)]


def dns_text(name: bytes, **_: object) -> bytes | None:
    texts = records().get(name.decode().rstrip("."))
    return texts[0].encode() if texts else None


@pytest.mark.rfc("8463#A.3")
def test_both_signatures_of_rfc_8463_verify():
    assert queries(RFC_8463_MESSAGE) == tuple(RFC_8463_RECORDS)
    assert results(RFC_8463_MESSAGE, RFC_8463_RECORDS) == PASSES


@pytest.mark.rfc("6376#A.3")
def test_the_signature_of_rfc_6376_verifies():
    assert results(RFC_6376_MESSAGE, RFC_6376_RECORDS) == [DkimResult.PASS]


@pytest.mark.parametrize("name", CORPUS)
def test_dkimpy_accepts_both_of_our_signatures(name):
    signed = prefix_for(CORPUS[name]) + CORPUS[name]
    judge = dkim.DKIM(signed, minkey=1024)
    assert judge.verify(0, dnsfunc=dns_text)
    assert dkim.DKIM(signed).verify(1, dnsfunc=dns_text)


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("header", [b"relaxed", b"simple"])
@pytest.mark.parametrize("body", [b"relaxed", b"simple"])
def test_we_accept_both_signatures_of_dkimpy(name, header, body):
    message = CORPUS[name]
    forms = (header, body)
    ed25519 = dkim.DKIM(message, signature_algorithm=b"ed25519-sha256")
    field = ed25519.sign(b"brisbane", DOMAIN.encode(), ED25519_SEED.encode(), canonicalize=forms)
    field += dkim.DKIM(message).sign(b"test", DOMAIN.encode(), RSA_PEM, canonicalize=forms)
    assert results(field + message) == PASSES


@pytest.mark.parametrize("name", CORPUS)
def test_we_accept_our_own(name):
    signed = prefix_for(CORPUS[name], expires_at=NOW + 60) + CORPUS[name]
    assert results(signed) == PASSES
    assert results(signed, now=NOW + 61) == [DkimResult.POLICY] * 2


@pytest.mark.rfc("6376#3.4.2")
def test_what_transports_do_to_white_space_breaks_nothing():
    signed = prefix_for(CORPUS["folded"]) + CORPUS["folded"]
    changed = signed.replace(b"long\r\n\tsubject", b"long subject").replace(
        b"Hi\r\n", b"Hi  \r\n\r\n"
    )
    changed = b"Received: from a by b\r\n" + changed
    assert changed != signed
    assert results(changed) == PASSES


@pytest.mark.rfc("6376#8.15")
@pytest.mark.parametrize("field", [b"From", b"To", b"Cc", b"Subject", b"Reply-To", b"Date"])
def test_a_field_added_on_the_way_breaks_both_signatures(field):
    signed = prefix_for(CORPUS["plain"]) + CORPUS["plain"]
    assert results(field + b": other\r\n" + signed) == [DkimResult.FAIL] * 2


@pytest.mark.parametrize("name", CORPUS)
def test_fields_are_short_lines_and_h_names_from_once_more(name):
    prefix = prefix_for(CORPUS[name])
    assert all(len(line) <= 78 for line in prefix.split(b"\r\n"))
    for value in re.split(rb"^DKIM-Signature:", prefix, flags=re.MULTILINE)[1:]:
        signature = parse_signature(value)
        assert signature.fields.count(b"from") == 2
        assert signature.length is None


def test_many_signatures_are_judged_up_to_a_bound():
    signed = prefix_for(CORPUS["plain"]) * 20 + CORPUS["plain"]
    assert results(signed) == [DkimResult.PASS] * MOST_SIGNATURES


@pytest.mark.rfc("8301#3.1", "8301#3.2")
@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        (b"a=rsa-sha256", b"a=rsa-sha1", DkimResult.PERMANENT),
        (b"a=rsa-sha256", b"a=dsa-sha256", DkimResult.NEUTRAL),
        (b"We lost", b"We won", DkimResult.FAIL),
        (b"dinner", b"supper", DkimResult.FAIL),
        (b"s=test;", b"s=other;", DkimResult.TEMPORARY),
        (b"q=dns/txt", b"q=tarot", DkimResult.PERMANENT),
        (b"v=1;", b"v=2;", DkimResult.PERMANENT),
        (b"i=@football", b"i=@baseball", DkimResult.PERMANENT),
        (
            b"h=from : to : subject :\r\n date : message-id : from : subject : date;",
            b"h=to;",
            DkimResult.PERMANENT,
        ),
    ],
)
def test_a_signature_that_does_not_hold_is_told_apart(old, new, result):
    message = RFC_8463_MESSAGE.replace(old, new)
    assert message != RFC_8463_MESSAGE
    assert results(message, RFC_8463_RECORDS)[1] is result


@pytest.mark.rfc("6376#6.1.2")
@pytest.mark.parametrize(
    ("texts", "result"),
    [
        (None, DkimResult.TEMPORARY),
        ((), DkimResult.PERMANENT),
        (("v=spf1 -all",), DkimResult.PERMANENT),
        (("v=DKIM1; p=",), DkimResult.PERMANENT),
        (("v=DKIM1; p=AAAA",), DkimResult.PERMANENT),
        (("v=DKIM1; k=rsa; h=sha1; p={p}",), DkimResult.PERMANENT),
        (("v=DKIM1; k=rsa; s=tlsrpt; p={p}",), DkimResult.PERMANENT),
        (("junk", "v=DKIM1; k=rsa; s=email; h=sha256; p={p}"), DkimResult.PASS),
        (("k=rsa; t=y:s; n=note ; p={p}",), DkimResult.PASS),
    ],
)
def test_a_key_record_must_fit_its_signature(texts, result):
    name = "test._domainkey.football.example.com"
    good = RFC_8463_RECORDS[name][0].partition("p=")[2]
    known = dict(RFC_8463_RECORDS)
    known[name] = texts and tuple(text.replace("{p}", good) for text in texts)
    assert results(RFC_8463_MESSAGE, known)[1] is result


@given(st.binary(max_size=300))
def test_garbage_is_no_signature_and_raises_nothing_else(value):
    with contextlib.suppress(SignatureError):
        parse_signature(value)
    verify(b"DKIM-Signature:" + value.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\r\n", {}, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["Subject", "To", "X", "List-Id"]), st.text(max_size=30)),
        max_size=6,
    ),
    st.binary(max_size=200),
)
def test_any_message_signed_by_us_verifies_and_signing_is_a_prefix(fields, body):
    lines = [f"{name}: {' '.join(text.split())}\r\n" for name, text in fields]
    head = "".join(["From: a@football.example.com\r\n", *lines]).encode("utf-8", "replace")
    message = head.replace(b"\0", b"") + b"\r\n" + body
    signed = prefix_for(message) + message
    assert signed.endswith(message)
    assert results(signed) == PASSES


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_says_so(pem):
    with pytest.raises(BadKeyError):
        parse_private_key(pem)


def test_a_body_is_hashed_in_few_ways_only():
    """Ten signatures with ten l= would make us look at a large body ten times."""
    plain = CORPUS["plain"]
    signature = prefix_for(plain)
    many = b"".join(signature.replace(b"bh=", b"l=%d; bh=" % n) for n in range(1, 6))
    verdicts = verify(many + plain, records(), NOW)
    assert [v.result for v in verdicts[:8]] == [DkimResult.FAIL] * 8
    assert {v.result for v in verdicts[8:]} == {DkimResult.POLICY}
    assert results(signature + plain) == PASSES


@pytest.mark.rfc("8301#3.2")
@pytest.mark.parametrize(("bits", "exponent_bits"), [(3072, 3071), (8192, 17)])
def test_a_key_that_makes_us_work_is_not_used(bits, exponent_bits):
    """With an exponent as long as its modulus a key takes a hundred times as long."""
    numbers = RSAPublicNumbers((1 << (exponent_bits - 1)) + 1, (1 << bits) - 1)
    public = numbers.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    name = "test._domainkey.football.example.com"
    known = {**RFC_8463_RECORDS, name: (dkim_key_text(KeyType.RSA, public),)}
    verdict = verify(RFC_8463_MESSAGE, known, NOW)[1]
    assert (verdict.result, verdict.reason) == (
        DkimResult.PERMANENT, "its key is larger than a verifier need take",
    )  # fmt: skip
