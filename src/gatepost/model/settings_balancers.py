"""Which load balancers may say whose connection they pass on: a pure check, as in `settings_checks`."""

from ipaddress import IPv4Address, IPv6Network, ip_network
from typing import Final

from gatepost.model.settings_checks import network
from gatepost.model.wrong import wrong

_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def balancer(text: str) -> str:
    """Take an address or a network, but not the whole world, nor a form that no peer is shown in."""
    found = ip_network(network(text))
    if not found.prefixlen:
        msg = "anybody could claim to be anybody else"
        raise wrong(msg, 'name your load balancers, such as "10.0.0.5" or "10.0.0.0/24"')
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        straight = IPv4Address(int(found.network_address) & 0xFFFFFFFF)
        msg = "who comes by IPv4 is known by his IPv4 address"
        raise wrong(msg, f'write "{straight}/{found.prefixlen - 96}"')
    return str(found)
