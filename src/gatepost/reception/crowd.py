"""Who gives way when all connections are taken (ADR 30): in the largest network, who has been there for
longest and has neither logged in nor begun to hand over content.

So strangers who hold connections for as long as they may keep nobody out whose network has fewer of them.
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
    """One connection. `may_go` tells whether it may be ended now, `give_way` ends it."""

    network: str
    may_go: Callable[[], bool]
    give_way: Callable[[], None]


class Crowd:
    """The connections of a worker. Used from its event loop."""

    def __init__(self) -> None:
        #: By network, oldest first.
        self._guests: dict[str, dict[Guest, None]] = {}

    def enter(self, guest: Guest) -> None:
        """Let one in."""
        self._guests.setdefault(guest.network, {})[guest] = None

    def leave(self, guest: Guest) -> None:
        """Count one out, if it was not yet."""
        guests = self._guests.get(guest.network, {})
        guests.pop(guest, None)
        if not guests:
            self._guests.pop(guest.network, None)

    def make_room(self, network: str) -> bool:
        """Have somebody give way to one more of a network; False where nobody has to, or may."""
        newcomers = len(self._guests.get(network, ())) + 1
        for guests in heapq.nlargest(_NETWORKS, self._guests.values(), key=len):
            if len(guests) <= newcomers:
                return False
            leaver = next((each for each in islice(guests, _OLDEST) if each.may_go()), None)
            if leaver is not None:
                self.leave(leaver)
                leaver.give_way()
                return True
        return False
