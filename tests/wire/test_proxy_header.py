"""PROXY headers of both versions: what is read, what is refused, how much is waited for."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.proxy_header import (
    LONGEST_LINE,
    MOST_BEHIND,
    NoProxyHeaderError,
    ProxyHeader,
    read_proxy_header,
)

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LONGEST6 = b":".join([b"ffff"] * 8)


def binary(kind: int, family: int, behind: bytes, length: int | None = None) -> bytes:
    said = len(behind) if length is None else length
    return SIGNATURE + struct.pack("!BBH", kind, family, said) + behind


V4 = IPv4Address("192.0.2.7").packed + IPv4Address("198.51.100.1").packed + b"\xc0\xde\x02\x4b"
V6 = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::1").packed + b"\xc0\xde\x02\x4b"
MAPPED = IPv6Address("::ffff:192.0.2.7").packed + IPv6Address("::ffff:1.2.3.4").packed + b"\0\1\0\2"
TLV = b"\x02\0\x0arelay.test"

GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 49374 587\r\n", "192.0.2.7", 49374),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\n", "192.0.2.7", 0),
    (b"PROXY TCP6 2001:DB8::7 2001:db8::1 49374 587\r\n", "2001:db8::7", 49374),
    (b"PROXY TCP6 %b %b 65535 65535\r\n" % (LONGEST6, LONGEST6), LONGEST6.decode(), 65535),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n", "192.0.2.7", 1),
    (b"PROXY TCP6 ::ffff:c000:207 ::1 1 2\r\n", "192.0.2.7", 1),
    (b"PROXY UNKNOWN\r\n", "", 0),
    (b"PROXY UNKNOWN %b %b 65535 65535\r\n" % (LONGEST6, LONGEST6), "", 0),
    (b"PROXY UNKNOWN \xff\0 and whatever\r\n", "", 0),
    (binary(0x21, 0x11, V4), "192.0.2.7", 49374),
    (binary(0x21, 0x11, V4 + TLV), "192.0.2.7", 49374),
    (binary(0x21, 0x11, V4 + b"no TLV at all"), "192.0.2.7", 49374),
    (binary(0x21, 0x21, V6), "2001:db8::7", 49374),
    (binary(0x21, 0x21, V6 + b"\4" + struct.pack("!H", 4057) + b"\0" * 4057), "2001:db8::7", 49374),
    (binary(0x21, 0x21, MAPPED), "192.0.2.7", 1),
    # the connection is the balancer's own
    (binary(0x20, 0x00, b""), "", 0),
    (binary(0x20, 0x11, V4), "", 0),
    (binary(0x20, 0xFF, b"whatever"), "", 0),
    # families that no client of ours has: the balancer's own address counts (section 2.2)
    (binary(0x21, 0x00, b""), "", 0),
    (binary(0x21, 0x10, V4), "", 0),
    (binary(0x21, 0x12, V4), "", 0),
    (binary(0x21, 0x22, V6), "", 0),
    (binary(0x21, 0x31, b"/run/a".ljust(108, b"\0") * 2), "", 0),
    (binary(0x21, 0x32, b""), "", 0),
]


@pytest.mark.parametrize(("octets", "host", "port"), GOOD)
def test_a_header_names_a_client_and_ends_where_it_ends(
    octets: bytes, host: str, port: int
) -> None:
    expected = ProxyHeader(len(octets), host, port)
    assert read_proxy_header(octets) == expected
    for behind in (b"EHLO c.test\r\n", b"\x16\x03\x01\x02\x00", b"\r\n", octets):
        assert read_proxy_header(octets + behind) == expected
    assert len(octets) <= LONGEST_LINE or octets.startswith(SIGNATURE)


@pytest.mark.parametrize("octets", [octets for octets, _, _ in GOOD])
def test_a_part_of_a_header_is_waited_for(octets: bytes) -> None:
    for end in range(len(octets)):
        assert read_proxy_header(octets[:end]) is None


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO c.test\r\n",
        b"\x16\x03\x01",
        b"\r\n\r\n\r",
        b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY\r\n",
        b"PROXYTCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
        b"PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n\r\n",
        b"PROXY TCP4 192.0.2.7 relay.test 1 2\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7/24 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
        b"PROXY TCP6 [::1] ::1 1 2\r\n",
        b"PROXY TCP6 1::2::3 ::1 1 2\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 \xb2 2\r\n",
        b"PROXY TCP4 \xd9\xa1.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 " + b"9" * 50 + b"\r\n",
        b"PROXY UNKNOWN ".ljust(LONGEST_LINE - 1, b"x") + b"\r\n",
        b"PROXY UNKNOWN ".ljust(LONGEST_LINE, b"x"),
        binary(0x11, 0x11, V4),
        binary(0x31, 0x11, V4),
        binary(0x22, 0x11, V4),
        binary(0x2F, 0x11, V4),
        binary(0x21, 0x41, V4),
        binary(0x21, 0x13, V4),
        binary(0x21, 0x11, V4[:-1]),
        binary(0x21, 0x21, V4),
        binary(0x21, 0x21, V6[:-1]),
        binary(0x21, 0x11, b"", 0),
        binary(0x21, 0x11, V4, MOST_BEHIND + 1),
        binary(0x20, 0x00, b"", 65535),
    ],
)
def test_what_is_no_header_is_refused(octets: bytes) -> None:
    with pytest.raises(NoProxyHeaderError):
        read_proxy_header(octets)


def test_no_more_is_waited_for_than_a_line_or_the_bound() -> None:
    assert LONGEST_LINE == 107  # section 2.1
    line = b"PROXY UNKNOWN ".ljust(LONGEST_LINE - 1, b"x")
    assert read_proxy_header(line) is None
    with pytest.raises(NoProxyHeaderError, match="too long"):
        read_proxy_header(line + b"x")
    assert read_proxy_header(binary(0x20, 0, b"\0" * (MOST_BEHIND - 1), MOST_BEHIND)) is None
    with pytest.raises(NoProxyHeaderError, match="65535 octets, more than 4096"):
        read_proxy_header(binary(0x20, 0, b"", 65535))  # at its sixteenth octet


PORTS = st.integers(0, 65535)


SAME_FAMILY = [st.tuples(st.ip_addresses(v=v), st.ip_addresses(v=v)) for v in (4, 6)]


@given(st.one_of(SAME_FAMILY), PORTS, PORTS, st.binary())
def test_both_versions_name_the_same_client(pair, port: int, own_port: int, behind: bytes) -> None:
    source, own = pair
    line = f"PROXY TCP{source.version} {source} {own} {port} {own_port}\r\n".encode()
    family = 0x11 if source.version == 4 else 0x21
    packed = source.packed + own.packed + struct.pack("!HH", port, own_port)
    shown = str(getattr(source, "ipv4_mapped", None) or source)
    for header in (line, binary(0x21, family, packed)):
        assert read_proxy_header(header + behind) == ProxyHeader(len(header), shown, port)


@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x0c"]),
    st.binary(max_size=300),
)
def test_any_octets_are_a_header_or_a_part_of_one_or_refused(begin: bytes, rest: bytes) -> None:
    octets = begin + rest
    try:
        header = read_proxy_header(octets)
    except NoProxyHeaderError:
        return
    if header is None:
        # a part may only become refused or complete: never is more than the bound waited for
        assert len(octets) < 16 + MOST_BEHIND
        return
    assert header.size <= len(octets)
    assert read_proxy_header(octets[: header.size]) == header
    for end in range(header.size):
        assert read_proxy_header(octets[:end]) is None
