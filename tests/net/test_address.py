import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.net.address import SocketAddress, from_socket_name, parse_socket_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:25", "127.0.0.1", 25),
        ("[::1]:2587", "::1", 2587),
        ("[2001:DB8::0:1]:25", "2001:db8::1", 25),
        ("mail.example:0", "mail.example", 0),
        (" 192.0.2.1:65535 ", "192.0.2.1", 65535),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int):
    assert parse_socket_address(text) == SocketAddress(host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:25", "[::1]",
     "[::1:25", "[1.2.3.4]:25", "a b:25", "user@host:25", "127.0.0.1:²", "127.0.0.1:-1"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_words(text: str):
    with pytest.raises(ValueError, match="should be"):
        parse_socket_address(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str):
    try:
        address = parse_socket_address(text)
    except ValueError:
        return
    assert parse_socket_address(str(address)) == address


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_survives_being_written(ip: object, port: int):
    address = SocketAddress(str(ip), port)
    assert parse_socket_address(str(address)) == address


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("192.0.2.1", 25), "192.0.2.1:25"),
        (("::ffff:192.0.2.1", 25, 0, 0), "192.0.2.1:25"),
        (("fe80::1%eth0", 25, 0, 2), "[fe80::1]:25"),
        (None, ":0"),
        ("/run/socket", ":0"),
    ],
)
def test_a_socket_name_becomes_an_address(name: object, text: str):
    assert str(from_socket_name(name)) == text
