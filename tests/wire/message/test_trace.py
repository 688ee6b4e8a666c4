"""Trace fields, dates and identifiers."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.message.ciphers import registered_name
from gatepost.wire.message.header import Header, scan
from gatepost.wire.message.identifiers import format_date, message_id
from gatepost.wire.message.trace import (
    Hop,
    is_looping,
    received_field,
    return_path_field,
    transmission_type,
)

AT = datetime(2026, 11, 23, 23, 15, tzinfo=UTC)
HOP = Hop("client.example", "192.0.2.1", "relay.example", "0192a5", AT)


@pytest.mark.rfc("5321#4.4")
def test_received_has_its_clauses_in_order() -> None:
    hop = replace(
        HOP,
        protocol="ESMTPSA",
        tls_version="TLSv1.3",
        tls_cipher="TLS_AES_256_GCM_SHA384",
        recipient="bob@example.net",
    )
    assert received_field(hop) == (
        b"Received: from client.example ([192.0.2.1]) by relay.example with ESMTPSA\r\n"
        b" id 0192a5 for <bob@example.net> tls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n"
        b" Mon, 23 Nov 2026 23:15:00 +0000\r\n"
    )


@pytest.mark.rfc("5321#7.2")
def test_received_names_no_recipient_where_there_are_several() -> None:
    assert b"for" not in received_field(HOP)


@pytest.mark.parametrize(
    ("client_name", "client_address", "origin"),
    [
        ("[192.0.2.7]", "192.0.2.1", b"from [192.0.2.7] ([192.0.2.1])"),
        ("mx", "2001:db8::1", b"from mx ([IPv6:2001:db8::1])"),
        ("", "192.0.2.1", b"from [192.0.2.1] ([192.0.2.1])"),
        ("a b);\r\nX: y", "192.0.2.1", b"from abXy ([192.0.2.1])"),
        ("\u00e9\x00()", "192.0.2.1", b"from [192.0.2.1] ([192.0.2.1])"),
    ],
)
def test_the_name_a_client_gave_cannot_break_out(
    client_name: str, client_address: str, origin: bytes
) -> None:
    field = received_field(replace(HOP, client_name=client_name, client_address=client_address))
    assert field.startswith(b"Received: " + origin)


@given(name=st.text(max_size=300), recipient=st.none() | st.text(max_size=80))
def test_received_is_one_field_whatever_the_client_said(name: str, recipient: str | None) -> None:
    field = received_field(replace(HOP, client_name=name, recipient=recipient))
    header = scan(field)
    assert isinstance(header, Header)
    assert header.names == (b"received",)
    assert field.isascii()
    assert all(len(line) <= 998 for line in field.split(b"\r\n"))


@pytest.mark.rfc("3848#1")
@pytest.mark.parametrize(
    ("extended", "tls", "authenticated", "word"),
    [
        (False, False, False, "SMTP"), (True, False, False, "ESMTP"), (True, True, False, "ESMTPS"),
        (True, False, True, "ESMTPA"), (True, True, True, "ESMTPSA"),
    ],
)  # fmt: skip
def test_transmission_types(extended: bool, tls: bool, authenticated: bool, word: str) -> None:
    assert transmission_type(extended=extended, tls=tls, authenticated=authenticated) == word


@pytest.mark.rfc("8314#4.3")
@pytest.mark.parametrize(
    ("openssl", "iana"),
    [
        ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
        ("DHE-RSA-AES256-CCM8", "TLS_DHE_RSA_WITH_AES_256_CCM_8"),
        ("GOST2012-GOST8912-GOST8912", None),
        ("", None),
        ("TLS_AES; evil", None),
    ],
)
def test_ciphers_have_their_registered_names(openssl: str, iana: str | None) -> None:
    assert registered_name(openssl) == iana


def test_an_unknown_cipher_leaves_the_clause_out() -> None:
    field = received_field(replace(HOP, tls_version="TLSv1.2", tls_cipher="NEW-CIPHER"))
    assert b" tls " not in field
    assert b"(TLSv1.2);" in field


@pytest.mark.interop("openssl")
def test_cipher_names_agree_with_openssl() -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl: apt-get install openssl")
    suites = "ALL:!PSK:!SRP:!aNULL:!CAMELLIA:!ARIA"
    listed = subprocess.run(
        [openssl, "ciphers", "-stdname", "-s", "-tls1_2", suites],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = [line.split()[0:3:2] for line in listed.stdout.splitlines()]
    assert names
    assert [registered_name(own) for _, own in names] == [iana for iana, _ in names]


@pytest.mark.rfc("5321#6.3")
def test_a_hundred_received_fields_are_a_loop() -> None:
    for count, looping in ((0, False), (99, False), (100, True)):
        header = scan(b"Received: x\r\n" * count + b"From: a@b\r\n\r\n")
        assert isinstance(header, Header)
        assert is_looping(header) is looping


@pytest.mark.rfc("5321#4.4")
def test_return_path_of_final_delivery() -> None:
    assert return_path_field("a@b.example") == b"Return-Path: <a@b.example>\r\n"
    assert return_path_field("") == b"Return-Path: <>\r\n"


@pytest.mark.rfc("5322#3.3")
@pytest.mark.parametrize(
    ("at", "text"),
    [
        (AT, "Mon, 23 Nov 2026 23:15:00 +0000"),
        (datetime(2026, 3, 1, 4, 5, 6, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
         "Sun, 01 Mar 2026 04:05:06 -0330"),
        (datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=5, minutes=45))),
         "Thu, 29 Feb 2024 00:00:00 +0545"),
    ],
)  # fmt: skip
def test_dates(at: datetime, text: str) -> None:
    assert format_date(at) == text
    assert parsedate_to_datetime(text) == at


def test_a_date_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        format_date(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.rfc("5322#3.6.4")
def test_message_id() -> None:
    assert message_id("0192a5", "relay.example") == "<0192a5@relay.example>"


@pytest.mark.rfc("6531#4.3")
@pytest.mark.parametrize(
    ("tls", "authenticated", "word"),
    [(False, False, "UTF8SMTP"), (True, False, "UTF8SMTPS"), (True, True, "UTF8SMTPSA")],
)
def test_transmission_types_of_smtputf8(tls: bool, authenticated: bool, word: str) -> None:
    made = transmission_type(extended=True, tls=tls, authenticated=authenticated, utf8=True)
    assert made == word
