"""The header by which a load balancer says whose connection it passes on: the PROXY protocol, versions 1
and 2 (HAProxy's specification, doc/proxy-protocol.txt; its sections are cited).
"""

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY: Final = b"PROXY "
#: A line with its CRLF (§2.1).
LONGEST_LINE: Final = 107
#: Of version 2, addresses and the TLVs behind them; a balancer may put a client's certificate there. The
#: specification would have them all fit a segment, and its length field allows 65 535.
MOST_BEHIND: Final = 4096
_FIXED: Final = 16
_LOCAL: Final = 0
_PROXIED: Final = 1
_STREAM: Final = 1
#: §2.2: unspecified, IPv4, IPv6, UNIX; unspecified, stream, datagram.
_LAST_FAMILY: Final = 3
_LAST_TRANSPORT: Final = 2
#: By family: octets of an address, and of two of them with their ports.
_IPV4: Final = 1
_IPV6: Final = 2
_ADDRESS: Final = {_IPV4: 4, _IPV6: 16}
_LARGEST_PORT: Final = 65535


class NoProxyHeaderError(Exception):
    """What came is no header; the words say why."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """One header of `size` octets. `host` is "" where the connection is the balancer's own (a health
    check), or of a family that is not ours: then the address that it really comes from counts.
    """

    size: int
    host: str = ""
    port: int = 0


def read_proxy_header(octets: bytes) -> ProxyHeader | None:
    """Read the header that a connection begins with; None while more of it is to come.

    Raises:
        NoProxyHeaderError: it begins with something else, is not as specified, or is too long.

    """
    if _SIGNATURE.startswith(octets[: len(_SIGNATURE)]):
        return _binary(octets) if len(octets) >= _FIXED else None
    if _PROXY.startswith(octets[: len(_PROXY)]):
        return _line(octets)
    raise NoProxyHeaderError("what it sends begins with something else")


def _line(octets: bytes) -> ProxyHeader | None:
    """Read version 1 (§2.1)."""
    end = octets.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(octets) >= LONGEST_LINE:
            raise NoProxyHeaderError("its line is too long")
        return None
    words = octets[:end].split(b" ")
    size = end + len(b"\r\n")
    if words[1] == b"UNKNOWN":
        return ProxyHeader(size)
    if len(words) != len(("PROXY", "TCP4", "source", "destination", "port", "port")):
        raise NoProxyHeaderError("its line does not have six words")
    _, family, source, destination, port, own_port = words
    _address(family, destination)
    _port(own_port)
    return ProxyHeader(size, _address(family, source), _port(port))


def _address(family: bytes, word: bytes) -> str:
    try:
        text = word.decode("ascii")
        if family == b"TCP4":
            return str(IPv4Address(text))
        if family == b"TCP6" and "%" not in text:
            return _shown(IPv6Address(text))
    except (UnicodeDecodeError, AddressValueError):
        pass
    raise NoProxyHeaderError("its line has no address where one should be")


def _port(word: bytes) -> int:
    if word.isdigit() and int(word) <= _LARGEST_PORT and word == b"%d" % int(word):
        return int(word)
    raise NoProxyHeaderError("its line has no port where one should be")


def _shown(address: IPv6Address) -> str:
    """Return an IPv4 client of a dual-stack balancer as what it is."""
    return str(address.ipv4_mapped or address)


def _binary(octets: bytes) -> ProxyHeader | None:
    """Read version 2 (§2.2). What stands behind the addresses is not looked at."""
    version, command = divmod(octets[12], 16)
    family, transport = divmod(octets[13], 16)
    behind = int.from_bytes(octets[14:_FIXED], "big")
    if version != 2 or command not in {_LOCAL, _PROXIED}:
        raise NoProxyHeaderError("its version or command is unknown")
    if command == _PROXIED and (family > _LAST_FAMILY or transport > _LAST_TRANSPORT):
        raise NoProxyHeaderError("its family of addresses is unknown")
    if behind > MOST_BEHIND:
        raise NoProxyHeaderError(f"it has {behind} octets, more than {MOST_BEHIND}")
    is_ours = command == _PROXIED and family in _ADDRESS and transport == _STREAM
    long = _ADDRESS[family] if is_ours else 0
    if behind < 2 * long + 4 * is_ours:
        raise NoProxyHeaderError("it is too short for its addresses")
    size = _FIXED + behind
    if len(octets) < size:
        return None
    if not is_ours:
        return ProxyHeader(size)
    source = octets[_FIXED : _FIXED + long]
    port_at = _FIXED + 2 * long
    host = str(IPv4Address(source)) if family == _IPV4 else _shown(IPv6Address(source))
    return ProxyHeader(size, host, int.from_bytes(octets[port_at : port_at + 2], "big"))
