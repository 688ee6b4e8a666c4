"""Who gives way when all connections are taken (ADR 30): in the largest network, who has been there for
longest and has neither logged in nor begun to hand over content.

So strangers who hold connections for as long as they may keep nobody out whose network has fewer of them.

Networks behind a load balancer are what it says they are (ADR 38): where no network has many, the balancer that has
most gives way to who comes without one, or by another that has fewer.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

#: So many of the largest networks, and of the oldest connections of each, are looked at: a look is
#: taken for each connection that comes while all are taken.
_NETWORKS: Final = 8
_OLDEST: Final = 200


@dataclass(slots=True, eq=False)
class Guest:
    """One connection. `may_go` tells whether it may be ended now, `give_way` ends it; `way` is the
    address of the load balancer that it came by, "" for none.
    """

    network: str
    may_go: Callable[[], bool]
    give_way: Callable[[], None]
    way: str = ""


class Crowd:
    """The connections of a worker. Used from its event loop."""

    def __init__(self) -> None:
        #: By network, oldest first.
        self._guests: dict[str, dict[Guest, None]] = {}
        #: The same by balancer, but for who came without one.
        self._ways: dict[str, dict[Guest, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, guest: Guest) -> None:
        """Let one in."""
        self._guests.setdefault(guest.network, {})[guest] = None
        self._count += 1
        if guest.way:
            self._ways.setdefault(guest.way, {})[guest] = None

    def leave(self, guest: Guest) -> None:
        """Count one out, if it was not yet."""
        guests = self._guests.get(guest.network)
        if guests is None or guest not in guests:
            return
        self._count -= 1
        _take_out(guest, guest.network, self._guests)
        if guest.way:
            _take_out(guest, guest.way, self._ways)

    def make_room(self, network: str, way: str = "") -> bool:
        """Have somebody give way to one more of a network; False where nobody has to, or may."""
        return self._room_of_networks(network) or self._room_of_ways(way)

    def _room_of_networks(self, network: str) -> bool:
        newcomers = len(self._guests.get(network, ())) + 1
        for guests in heapq.nlargest(_NETWORKS, self._guests.values(), key=len):
            if len(guests) <= newcomers:
                return False
            if self._send_away(guests):
                return True
        return False

    def _room_of_ways(self, way: str) -> bool:
        if not self._ways:
            return False
        behind = {each: len(guests) for each, guests in self._ways.items()}
        largest = max(behind, key=behind.__getitem__)
        others = behind.get(way, 0) if way else self._count - sum(behind.values())
        return behind[largest] > others + 1 and self._send_away(self._ways[largest])

    def _send_away(self, guests: dict[Guest, None]) -> bool:
        leaver = next((each for each in islice(guests, _OLDEST) if each.may_go()), None)
        if leaver is None:
            return False
        self.leave(leaver)
        leaver.give_way()
        return True


def _take_out(guest: Guest, key: str, groups: dict[str, dict[Guest, None]]) -> None:
    guests = groups[key]
    del guests[guest]
    if not guests:
        del groups[key]
