"""What `[[egress]]` and `[[pool_rules]]` may say, and a route's `pool`: pure checks that `settings` hangs on its keys."""

import difflib
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol, TypeVar

from gatepost.model.suppression_subject import is_stream_name
from gatepost.model.via import takes_pool
from gatepost.model.wrong import Wrong, WrongValueError, wrong

#: Also "oauth", and "directory/NAME".
_ID: Final = re.compile(r"\S{1,128}")


class _Egress(Protocol):
    @property
    def ipv4(self) -> str | None: ...
    @property
    def ipv6(self) -> str | None: ...


class _Rule(Protocol):
    @property
    def pool(self) -> str: ...
    @property
    def elsewhere(self) -> bool: ...


E = TypeVar("E", bound=_Egress)


def ipv4(text: str) -> str:
    """Take an IPv4 address that connections can come from."""
    return str(_address(text, 4))


def ipv6(text: str) -> str:
    """Take an IPv6 address that connections can come from; returned in its shortest form."""
    return str(_address(text, 6))


def route(via: str, named: str | None) -> None:
    """Refuse a pool where nothing leaves by SMTP."""
    if named is not None and not takes_pool(via):
        msg = f'"{via}" takes no pool'
        raise wrong(msg, 'only "mx" and "smtp:HOST:PORT" do', "pool")


def credential(text: str) -> str:
    """Take the id of a credential."""
    if _ID.fullmatch(text) is None:
        msg = f'"{text}" cannot be the id of a credential'
        raise wrong(msg, 'see "gatepost account show NAME"')
    return text


def stream(text: str) -> str:
    """Take the name of a stream."""
    if not is_stream_name(text):
        msg = f'"{text}" cannot be the name of a stream'
        raise wrong(msg, "up to 64 letters, digits, hyphens, dots and underscores")
    return text


def known(rules: Sequence[_Rule], pools: Sequence[str]) -> None:
    """Refuse rules whose pool has no address, unless another node's settings name some."""
    wrongs = []
    for at, each in enumerate(rules):
        if each.elsewhere or each.pool in pools:
            continue
        near = difflib.get_close_matches(each.pool, pools, 1)
        meant = f'did you mean "{near[0]}"? Else ' if near else ""
        mend = (
            "name it in an [[egress]], or say elsewhere = true where other nodes have its addresses"
        )
        where = ("pool_rules", at, "pool")
        wrongs.append(Wrong(f'no [[egress]] is in pool "{each.pool}"', f"{meant}{mend}", where))
    if wrongs:
        raise WrongValueError(wrongs)


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
