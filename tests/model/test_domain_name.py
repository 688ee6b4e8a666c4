"""Domain names, addresses and sockets as settings write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model import domain_name
from gatepost.model.wrong import WrongValueError


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("relay.example", "relay.example"),
        ("Relay.EXAMPLE.", "relay.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("_dmarc.example", "_dmarc.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_domain_is_in_lower_case_a_labels(text: str, domain: str) -> None:
    assert domain_name.parse_domain(text) == domain


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a..b", "-a.example", "a-.example", "a b.example", "a" * 64 + ".example",
        ".".join(["a" * 60] * 5), "192.0.2.1", "a@b", "[192.0.2.1]", "exa\nmple", "\ud800.example",
    ],
)  # fmt: skip
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(WrongValueError, match="not a domain name"):
        domain_name.parse_domain(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("relay", "not a full domain name"),
        ("192.0.2.1", "is an IP address"),
        ("::1", "is an IP address"),
        ("relay_example!", "not a domain name"),
    ],
)
def test_a_hostname_is_a_full_name(text: str, words: str) -> None:
    with pytest.raises(WrongValueError, match=words):
        domain_name.parse_full_domain(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Ops@Relay.Example", "Ops@relay.example"),
        ("a.b+c@bücher.example", "a.b+c@xn--bcher-kva.example"),
    ],
)
def test_an_address_keeps_its_local_part(text: str, address: str) -> None:
    assert domain_name.parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "ops", "@relay.example", "a b@relay.example", "<a@b.example>"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(WrongValueError):
        domain_name.parse_address(text)


@pytest.mark.parametrize("text", ["", ".", "..", "../../etc", "a/b", "a@b", ".a", "a\0b", "x" * 65])
def test_a_mailbox_cannot_leave_its_folder(text: str) -> None:
    with pytest.raises(WrongValueError, match="not a mailbox"):
        domain_name.parse_mailbox(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("192.0.2.1:25", "192.0.2.1:25"),
        ("[::1]:25", "[::1]:25"),
        ("[0:0:0:0:0:0:0:1]:25", "[::1]:25"),
        ("Smart.Example:587", "smart.example:587"),
    ],
)
def test_a_host_and_port_is_shown_in_its_shortest_form(text: str, shown: str) -> None:
    assert str(domain_name.parse_host_port(text)) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.0.2.1", "has no port"),
        ("relay.example", "has no port"),
        ("relay.example:", "not a port"),
        ("relay.example:smtp", "not a port"),
        ("relay.example:65536", "not a port"),
        ("relay.example:٢٥", "not a port"),
        ("::1:25", "put brackets around an IPv6 address"),
        ("[::1]", "has no port"),
        ("[::1", "not HOST:PORT"),
        ("[::1]x", "not HOST:PORT"),
        ("[relay]:25", "not HOST:PORT"),
        ("[fe80::1%eth0]:25", "not a host"),
        (":25", "not a host"),
        ("192.0.2:25", "not a host"),
    ],
)
def test_what_is_no_host_and_port_says_why(text: str, words: str) -> None:
    with pytest.raises(WrongValueError, match=words):
        domain_name.parse_host_port(text)


def test_a_listener_has_an_ip_address() -> None:
    with pytest.raises(WrongValueError, match="is a name"):
        domain_name.parse_ip_port("localhost:25")


@given(st.text())
def test_garbage_is_refused_in_words_and_never_raises_anything_else(text: str) -> None:
    for parse in (
        domain_name.parse_domain,
        domain_name.parse_full_domain,
        domain_name.parse_address,
        domain_name.parse_mailbox,
        domain_name.parse_host_port,
        domain_name.parse_ip_port,
    ):
        with contextlib.suppress(WrongValueError):
            parse(text)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_ip_address_and_port_comes_back(address: object, port: int) -> None:
    host = str(address)
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert domain_name.parse_ip_port(text) == domain_name.HostPort(host, port)
