"""What `[[egress]]` may say, and a route's `pool`: pure checks that `settings` hangs on its keys."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol, TypeVar

from gatepost.model.source import SYSTEM
from gatepost.model.via import takes_pool
from gatepost.model.wrong import Wrong, WrongValueError, wrong

_POOL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class _Egress(Protocol):
    @property
    def ipv4(self) -> str | None: ...
    @property
    def ipv6(self) -> str | None: ...


E = TypeVar("E", bound=_Egress)


def ipv4(text: str) -> str:
    """Take an IPv4 address that connections can come from."""
    return str(_address(text, 4))


def ipv6(text: str) -> str:
    """Take an IPv6 address that connections can come from; returned in its shortest form."""
    return str(_address(text, 6))


def pool(text: str) -> str:
    """Take the name of a pool."""
    if text == SYSTEM:
        msg = f'"{SYSTEM}" is no pool: it means that the system chooses'
        raise wrong(msg, "choose another name")
    if _POOL.fullmatch(text) is None:
        msg = f'"{text}" cannot be the name of a pool'
        raise wrong(msg, "up to 63 small letters, digits and hyphens")
    return text


def pool_or_system(text: str) -> str:
    """Take the name of a pool, or "system"."""
    return text if text == SYSTEM else pool(text)


def route(via: str, named: str | None) -> None:
    """Refuse a pool where nothing leaves by SMTP."""
    if named is not None and not takes_pool(via):
        msg = f'"{via}" takes no pool'
        raise wrong(msg, 'only "mx" and "smtp:HOST:PORT" do', "pool")


def once(found: Sequence[E]) -> Sequence[E]:
    """Refuse an address that is given twice: it would have two EHLO names."""
    seen: dict[str, int] = {}
    wrongs = []
    for at, each in enumerate(found):
        for key, address in (("ipv4", each.ipv4), ("ipv6", each.ipv6)):
            if address is not None and (first := seen.setdefault(address, at)) != at:
                what = f'"{address}" is named already (no. {first + 1})'
                mend = "name it once; it may be in several pools"
                wrongs.append(Wrong(what, mend, (at, key)))
    if wrongs:
        raise WrongValueError(wrongs)
    return found


def _address(text: str, version: int) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text.strip())
    except ValueError:
        address = None
    if address is None or address.version != version or "%" in text:
        msg = f'"{text}" is no IPv{version} address'
        raise wrong(msg, f"write one such as {'192.0.2.5' if version == 4 else '2001:db8::5'}")
    if address.is_unspecified or address.is_multicast:
        msg = f'no connection comes from "{text}"'
        raise wrong(msg, "write an address of this machine, or leave [[egress]] out")
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        msg = f'"{text}" is an IPv4 address'
        raise wrong(msg, f'write ipv4 = "{address.ipv4_mapped}"')
    return address
