"""Socket addresses as values: "192.0.2.1:25", "[2001:db8::1]:25"."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_V4_MAPPED: Final = "::ffff:"


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """An IP address (or, where a setting allows it, a host name) and a port.

    `host` has no brackets and no zone.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_socket_address(text: str) -> SocketAddress:
    """Read "HOST:PORT"; IPv6 in brackets.

    Raises:
        ValueError: no such form; the words say what to write.

    """
    host, colon, port = text.strip().rpartition(":")
    wanted = f'"{text}" should be "HOST:PORT", such as "127.0.0.1:25" or "[::1]:25"'
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(wanted)
    if host.startswith("[") and host.endswith("]"):
        try:
            return SocketAddress(str(ipaddress.IPv6Address(host[1:-1])), int(port))
        except ValueError:
            raise ValueError(wanted) from None
    if set(host) & set(":[] \t/@"):
        raise ValueError(wanted)
    return SocketAddress(host, int(port))


@lru_cache(maxsize=4096)
def one_client(host: str) -> str:
    """Return what is counted as one client: an IPv4 address, the /64 of an IPv6 address (one
    customer has as many of those as he likes); what is no address, as it is.

    Whoever counts clients counts them a second time by `network_of`, with a wider limit: who has a
    /48 is 65 536 clients.
    """
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


@lru_cache(maxsize=4096)
def network_of(host: str) -> str:
    """Return the network that an address, or `one_client`, is in: a /24, of IPv6 a /48; what is
    neither, as it is.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0].partition("/")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    bits = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def from_socket_name(name: object) -> SocketAddress:
    """Return what getpeername() or getsockname() said as a value.

    An IPv4-mapped IPv6 address (a dual-stack listener) becomes the IPv4 address that it is;
    zones are cut off. Anything that is no internet address becomes ("", 0).
    """
    if not isinstance(name, tuple) or len(name) < 2:
        return SocketAddress("", 0)
    host = str(name[0])
    if ":" in host:
        host = host.partition("%")[0]
        if host.startswith(_V4_MAPPED) and "." in host:
            host = host[len(_V4_MAPPED) :]
    return SocketAddress(host, int(name[1]))
