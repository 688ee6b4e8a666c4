"""Domain names, addresses of mailboxes and sockets as settings and operators write them.

RFC 5321 §2.3.5 (domain names in full), RFC 5891 (A-labels).
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from gatepost.model.wrong import wrong

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_DOT_STRING: Final = re.compile(
    r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+(\.[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+)*"
)
_LONGEST_DOMAIN: Final = 253


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host (a name, or an IP address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_domain(text: str) -> str:
    """Return a domain name in lower-case A-labels, without a final dot.

    Raises:
        WrongValueError: not a domain name.

    """
    domain = _to_a_labels(text.strip().removesuffix(".")).lower()
    labels = domain.split(".")
    good = all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    if len(domain) > _LONGEST_DOMAIN or not good:
        msg = f'"{text}" is not a domain name'
        raise wrong(msg, 'write one such as "relay.example"')
    return domain


def parse_full_domain(text: str) -> str:
    """Return a domain name of two labels or more, or "localhost", as `parse_domain` does.

    Raises:
        WrongValueError: not a domain name, an IP address, or a single label.

    """
    if _is_ip(text):
        msg = f'"{text}" is an IP address, not a domain name'
        raise wrong(msg, 'write the name that it has in DNS, such as "relay.example"')
    domain = parse_domain(text)
    if "." not in domain and domain != "localhost":
        msg = f'"{text}" is not a full domain name'
        raise wrong(msg, f'write it with its domain, such as "{domain}.example"')
    return domain


def parse_address(text: str) -> str:
    """Return local-part@domain, the domain in lower-case A-labels, the local part untouched.

    Raises:
        WrongValueError: not such an address.

    """
    local_part, at, domain = text.strip().rpartition("@")
    if not at or not _DOT_STRING.fullmatch(local_part):
        msg = f'"{text}" is not an address'
        raise wrong(msg, 'write one such as "ops@relay.example"')
    return f"{local_part}@{parse_domain(domain)}"


def parse_mailbox(text: str) -> str:
    """Return a local part that may name a directory, or "*".

    Raises:
        WrongValueError: not a local part, or one that would leave its folder.

    """
    if text == "*":
        return text
    if not _DOT_STRING.fullmatch(text) or "/" in text or len(text) > 64:
        msg = f'"{text}" is not a mailbox'
        raise wrong(msg, 'write the part before the "@", such as "alice", or "*" for all')
    return text


def parse_host_port(text: str, *, default_port: int | None = None) -> HostPort:
    """Read "relay.example:25", "192.0.2.1:25", "[::1]:25".

    Raises:
        WrongValueError: the host or the port is missing or is none.

    """
    host, port = _split_port(text, default_port)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        msg = f'"{port}" in "{text}" is not a port'
        raise wrong(msg, "write a number up to 65535 behind the last colon")
    return HostPort(_host(host, text), int(port))


def parse_ip_port(text: str, *, default_port: int | None = None) -> HostPort:
    """Read "192.0.2.1:25" or "[::1]:25", no names.

    Raises:
        WrongValueError: not an IP address and a port.

    """
    found = parse_host_port(text, default_port=default_port)
    if not _is_ip(found.host):
        msg = f'"{found.host}" in "{text}" is a name'
        raise wrong(msg, 'write an IP address, such as "127.0.0.1" or "[::1]"')
    return found


def _split_port(text: str, default_port: int | None) -> tuple[str, str]:
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host:
            msg = f'"{text}" is not HOST:PORT'
            raise wrong(msg, 'write an IPv6 address as "[::1]:25"')
        port, found = rest[1:], bool(rest)
    elif text.count(":") > 1:
        msg = f'"{text}" is not HOST:PORT'
        raise wrong(msg, f'put brackets around an IPv6 address: "[{text.rpartition(":")[0]}]:PORT"')
    else:
        host, colon, port = text.partition(":")
        found = bool(colon)
    if not found:
        if default_port is None:
            msg = f'"{text}" has no port'
            raise wrong(msg, f'write "{text}:PORT"')
        port = str(default_port)
    return host, port


def _host(host: str, text: str) -> str:
    if _is_ip(host):
        return str(ip_address(host))
    if ":" in host or re.fullmatch(r"[\d.]*", host):
        msg = f'"{host}" in "{text}" is not a host'
        raise wrong(msg, "write a domain name or an IP address in front of the colon")
    return parse_domain(host)


def _is_ip(text: str) -> bool:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return False
    return not (isinstance(address, IPv6Address) and address.scope_id)


def _to_a_labels(text: str) -> str:
    if text.isascii():
        return text
    import idna  # noqa: PLC0415 - 20 ms that nearly nobody needs

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        msg = f'"{text}" is not a domain name'
        raise wrong(msg, f"IDNA says: {error}") from None
