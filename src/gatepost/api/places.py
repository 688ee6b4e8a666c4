"""Few places for many: who gives one back when all are taken.

The network that has most of them does, and in it the client that has most: the one that it has had for
longest. So nobody is kept out by a crowd, whatever it waits for (ADR 30).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: In a request's `state`: the place of its connection.
PLACE: Final = "place"


@dataclass(slots=True, eq=False)
class Place:
    """A place that a client of a network has. `give_up` is called where it is to be given back;
    while something is `kept` there, it is not.
    """

    client: str
    network: str
    give_up: Callable[[], None]
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Most:
    """How many places there are: in all, of one network, of one client."""

    in_all: int
    of_network: int
    of_client: int


class Places:
    """So many places. Used from one event loop."""

    def __init__(self, most: Most) -> None:
        self._most = most
        #: Oldest first.
        self._taken: dict[Place, None] = {}
        self._clients: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, place: Place) -> bool:
        """Have a place, for which somebody else may have to give up his; False where nobody can."""
        if self._is_full(place):
            other = self._least_missed(place)
            if other is None:
                return False
            self.give(other)
            other.give_up()
        self._taken[place] = None
        self._clients[place.client] += 1
        self._networks[place.network] += 1
        return True

    def give(self, place: Place) -> None:
        """Give a place back; one that was given up already is given only once."""
        if place not in self._taken:
            return
        del self._taken[place]
        for counts, who in ((self._clients, place.client), (self._networks, place.network)):
            counts[who] -= 1
            if not counts[who]:
                del counts[who]

    def _is_full(self, place: Place) -> bool:
        return (
            len(self._taken) >= self._most.in_all
            or self._networks[place.network] >= self._most.of_network
            or self._clients[place.client] >= self._most.of_client
        )

    def _least_missed(self, newcomer: Place) -> Place | None:
        """Return whose place the newcomer gets: of his own client, or network, where that is full."""
        free = [place for place in self._taken if not place.kept]
        if self._clients[newcomer.client] >= self._most.of_client:
            free = [place for place in free if place.client == newcomer.client]
        elif self._networks[newcomer.network] >= self._most.of_network:
            free = [place for place in free if place.network == newcomer.network]
        clients = Counter(place.client for place in [*free, newcomer])
        networks = Counter(place.network for place in [*free, newcomer])
        return max(free, key=lambda p: (networks[p.network], clients[p.client]), default=None)
