"""How many connections each address has to the HTTP process."""

from collections import Counter
from ipaddress import ip_address, ip_network

from gatepost.model.settings import HttpSettings
from gatepost.net.address import one_client


class Crowd:
    """Counts connections by address, of IPv6 by /64; trusted proxies are many clients in one."""

    def __init__(self, settings: HttpSettings) -> None:
        self._most = settings.connections_per_address
        self._trusted = [ip_network(text) for text in settings.trusted_proxies]
        self._counts: Counter[str] = Counter()

    def enter(self, host: str) -> bool:
        """Count a connection; False where its address has too many. "" is counted under nobody."""
        if not host or self._is_trusted(host):
            return True
        client = one_client(host)
        if self._counts[client] >= self._most:
            return False
        self._counts[client] += 1
        return True

    def leave(self, host: str) -> None:
        """Count one that was let in no more."""
        if not host or self._is_trusted(host):
            return
        client = one_client(host)
        self._counts[client] -= 1
        if self._counts[client] <= 0:
            del self._counts[client]

    def _is_trusted(self, host: str) -> bool:
        if not self._trusted:
            return False
        address = ip_address(host.partition("%")[0])
        return any(address in network for network in self._trusted)
