"""Who may open how many of a worker's connections, and who waits for one.

Whoever writes to hosts that accept and say nothing would hold all connections, and no other's mail
would leave. So an account (its lanes apart; mail without one counts as one) has no more than four
times what is still free: alone four fifths of the room, two four ninths each, and there is always
some for who comes next (Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998). At strange
sites, where no transaction has come to an end yet, it has no more than is free: half the room. The
last of it is for one-time passwords, and for sites that have no connection at all. Pure.
"""

from typing import Final, NamedTuple

from gatepost.model.lane import Lane

#: An account may have so many times what is free.
_TIMES: Final = 4
#: So many at strange sites are never too many.
_LEAST: Final = 16
#: One part of so many is kept for one-time passwords, and one for first connections of sites.
_PART: Final = 16


class Owner(NamedTuple):
    """Whose mail it is: an account ("": none), and a lane of it."""

    account: str
    lane: Lane


class Claim(NamedTuple):
    """For whom a connection is opened, and for what: a further one of its site, one at a stranger."""

    owner: Owner
    is_further: bool
    is_strange: bool


class _Held:
    """What is held for one owner."""

    __slots__ = ("all", "strange")

    def __init__(self) -> None:
        self.all = 0
        self.strange = 0


class ConnectionRoom:
    """How many connections there are, and for whom; at most `places`."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._kept = places // _PART
        self.used = 0
        self._held: dict[Owner, _Held] = {}

    def has_some(self, claim: Claim) -> bool:
        """Tell whether one more may be opened for who claims it."""
        free = self._places - self.used
        if claim.owner.lane is not Lane.OTP:
            free -= self._kept
        if claim.is_further:
            free -= self._kept
        if free <= 0:
            return False
        held = self._held.get(claim.owner)
        if held is None:
            return True
        if claim.is_strange and held.strange >= max(free, _LEAST):
            return False
        return held.all < _TIMES * free

    def held_by(self, owner: Owner) -> int:
        """Return how many there are in an owner's name."""
        held = self._held.get(owner)
        return held.all if held else 0

    @property
    def has_any(self) -> bool:
        """Whether there are fewer than may be."""
        return self.used < self._places

    @property
    def is_short(self) -> bool:
        """True when little is left for anybody."""
        return self._places - self.used <= 2 * self._kept

    def take(self, claim: Claim) -> None:
        """Count one that is opened."""
        self.used += 1
        held = self._held.get(claim.owner)
        if held is None:
            held = self._held[claim.owner] = _Held()
        held.all += 1
        held.strange += claim.is_strange

    def give(self, claim: Claim) -> None:
        """Count one that has ended."""
        self.used -= 1
        held = self._held[claim.owner]
        held.all -= 1
        held.strange -= claim.is_strange
        if not held.all:
            del self._held[claim.owner]

    def is_no_stranger(self, claim: Claim) -> Claim:
        """Count one as at a site that is no stranger any more; return what it is held for now."""
        self._held[claim.owner].strange -= claim.is_strange
        return claim._replace(is_strange=False)
