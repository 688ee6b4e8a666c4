"""How many connections each client and each network has to the HTTP process."""

from collections import Counter
from ipaddress import ip_address, ip_network
from typing import Final

from gatepost.model.settings import HttpSettings
from gatepost.net.address import network_of, one_client

#: Most of a network (of 500 in all), unless each of its clients may have more.
OF_NETWORK: Final = 250


class Crowd:
    """Counts connections by client and by network; trusted proxies are many clients in one."""

    def __init__(self, settings: HttpSettings) -> None:
        self._most = settings.connections_per_address
        self._trusted = [ip_network(text) for text in settings.trusted_proxies]
        self._counts: Counter[str] = Counter()

    def enter(self, host: str) -> bool:
        """Count a connection; False where its client, or its network, has too many. "" is counted
        under nobody.
        """
        if not host or self._is_trusted(host):
            return True
        limits = {network_of(host): max(self._most, OF_NETWORK), one_client(host): self._most}
        if any(self._counts[who] >= most for who, most in limits.items()):
            return False
        self._counts.update(limits.keys())
        return True

    def leave(self, host: str) -> None:
        """Count one that was let in no more."""
        if not host or self._is_trusted(host):
            return
        for who in {network_of(host), one_client(host)}:
            self._counts[who] -= 1
            if self._counts[who] <= 0:
                del self._counts[who]

    def _is_trusted(self, host: str) -> bool:
        if not self._trusted:
            return False
        address = ip_address(host.partition("%")[0])
        return any(address in network for network in self._trusted)
