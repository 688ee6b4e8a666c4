"""How many connections each client and each network has to the HTTP process."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Final

from gatepost.api.places import Most, Place, Places
from gatepost.model.settings import HttpSettings
from gatepost.net.address import network_of, one_client

#: Connections at once.
IN_ALL: Final = 500
#: Most of a network, unless each of its clients may have more.
OF_NETWORK: Final = 250


class Crowd:
    """Counts connections by client and by network; trusted proxies, each of which stands for many,
    have as many again for themselves.
    """

    def __init__(self, settings: HttpSettings) -> None:
        of_client = settings.connections_per_address
        self.places = Places(Most(IN_ALL, max(of_client, OF_NETWORK), of_client))
        self.proxied = Places(Most(IN_ALL, IN_ALL, IN_ALL))
        self._trusted = [ip_network(text) for text in settings.trusted_proxies]

    def enter(self, host: str, give_up: Callable[[], None]) -> Place | None:
        """Count a connection, for which another one may have to give up; None where none can."""
        place = Place(one_client(host), network_of(host), give_up)
        places = self.proxied if self._is_trusted(host) else self.places
        return place if places.take(place) else None

    def leave(self, place: Place) -> None:
        """Count one that was let in no more."""
        self.places.give(place)
        self.proxied.give(place)

    def _is_trusted(self, host: str) -> bool:
        if not host or not self._trusted:
            return False
        address = ip_address(host.partition("%")[0])
        return any(address in network for network in self._trusted)
