"""Key files of dynamic updates, and servers that are none. Real ones: tests/interop/test_knot.py."""

import asyncio

import pytest

from gatepost.model.secret import Secret
from gatepost.net.dns_update import DnsUpdateError, TsigKey, ZoneServer, parse_tsig_key
from tests.dns_server import DnsServer

SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="
KEY = TsigKey("gatepost", "hmac-sha256", Secret(SECRET))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f'key "gatepost" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n', "gatepost"),
        (
            f"key Gatepost.example. {{ secret {SECRET}; algorithm HMAC-SHA256; }}",
            "gatepost.example",
        ),
        (
            f'# made\n// by hand\nkey "a_b" {{ algorithm "hmac-sha256"; secret "{SECRET}"; }};',
            "a_b",
        ),
    ],
)
def test_a_key_file_of_bind_is_read(text: str, name: str) -> None:
    key = parse_tsig_key(text)
    assert (key.name, key.algorithm, key.secret.reveal()) == (name, "hmac-sha256", SECRET)
    assert SECRET not in repr(key)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no key"),
        ("hmac-sha256:gatepost:c2Vj", "no key"),
        (f'key "a" {{ algorithm hmac-md5; secret "{SECRET}"; }};', "algorithm"),
        (f'key "a" {{ secret "{SECRET}"; }};', "algorithm"),
        ('key "a" { algorithm hmac-sha256; };', "secret"),
        ('key "a" { algorithm hmac-sha256; secret "c2Vj"; };', "secret"),
        ('key "a" { algorithm hmac-sha256; secret "!!!!"; };', "secret"),
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        parse_tsig_key(text)
    assert "c2Vj" not in str(raised.value)


@pytest.mark.parametrize("quote", ['"', ""])
def test_two_slashes_in_a_secret_are_no_comment(quote: str) -> None:
    secret = "c2VjcmV0IHNlY3JldCBzZWNyZX//"
    text = f"key a {{ algorithm hmac-sha256; secret {quote}{secret}{quote}; }}; // made"
    assert parse_tsig_key(text).secret.reveal() == secret


async def test_a_server_that_is_away_is_named() -> None:
    with pytest.raises(DnsUpdateError) as raised:
        await ZoneServer("127.0.0.1", 1, KEY).zone_of("example.com")
    assert "127.0.0.1 port 1" in raised.value.reason
    assert raised.value.mend


async def test_an_answer_without_a_signature_is_none() -> None:
    async with DnsServer() as dns:
        dns.add("example.com", "SOA", "ns.example.com. a.example.com. 1 1 1 1 1")
        with pytest.raises(DnsUpdateError):
            await ZoneServer(dns.address.host, dns.address.port, KEY).zone_of("example.com")


async def test_a_server_that_hangs_up_is_named() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(DnsUpdateError) as raised:
            await ZoneServer("127.0.0.1", port, KEY).records("example.com", "TXT")
    assert str(port) in raised.value.reason
