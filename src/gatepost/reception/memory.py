"""The memory for what is under way, shared so that nobody takes it from all others."""

from typing import NamedTuple


class Taker(NamedTuple):
    """Who takes memory: an account, a key, or a stranger by his address (his network)."""

    name: str
    is_known: bool = False


class Memory:
    """How many octets of content under way this process holds, and may hold: `limit` together.

    Nobody holds more than what is then still free (the dynamic thresholds of Choudhury and Hahne,
    1998): one alone gets a half, two a third each, and whoever comes next always finds as much as
    the largest has. All strangers together are one of them, and each of them has `share` at most.
    """

    __slots__ = ("_held", "_strangers", "limit", "share", "used")

    def __init__(self, limit: int, share: int | None = None) -> None:
        self.limit = limit
        self.share = limit if share is None else share
        self.used = 0
        self._strangers = 0
        self._held: dict[Taker, int] = {}

    def left(self, taker: Taker) -> int:
        """Return how many octets more he may take now."""
        free = self.limit - self.used
        held = self._held.get(taker, 0)
        if taker.is_known:
            return max((free - held) // 2, 0)
        return max(min((free - self._strangers) // 2, self.share - held), 0)

    def take(self, octets: int, taker: Taker) -> None:
        """Count octets that he holds from now on."""
        if not octets:
            return
        self.used += octets
        self._held[taker] = self._held.get(taker, 0) + octets
        if not taker.is_known:
            self._strangers += octets

    def give(self, octets: int, taker: Taker) -> None:
        """Count octets that he has let go of."""
        if not octets:
            return
        self.used -= octets
        self._held[taker] -= octets
        if not self._held[taker]:
            del self._held[taker]
        if not taker.is_known:
            self._strangers -= octets
