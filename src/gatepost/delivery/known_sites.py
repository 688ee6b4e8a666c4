"""What was found out about destinations a moment ago, within bounds: whoever owns a domain says how much
there is to remember of it, and of as many names below it as he likes.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from gatepost.delivery.site import Site
from gatepost.model.delivery import Outcome

#: More destinations than that, or more octets, and the oldest are forgotten.
_MOST: Final = 20_000
_MOST_OCTETS: Final = 32 * 2**20
#: What Python takes besides, in octets: for an entry, a host, an address.
_OF_ENTRY: Final = 500
_OF_HOST: Final = 250
_OF_ADDRESS: Final = 70


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    found: Site | Outcome
    octets: int


class KnownSites:
    """Sites by hop, or why there is none. Times in seconds of one clock that is never set."""

    def __init__(self, most_octets: int = _MOST_OCTETS) -> None:
        self._most_octets = most_octets
        self._known: dict[Hashable, _Known] = {}
        self.octets = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Hashable, at: float) -> Site | Outcome | None:
        """Return what is known, if it is still believed."""
        known = self._known.get(key)
        return None if known is None or known.until < at else known.found

    def put(self, key: Hashable, found: Site | Outcome, until: float) -> None:
        """Remember what was found until then, or until there is too much."""
        self._forget(key)
        known = _Known(until, found, _octets(found))
        self._known[key] = known
        self.octets += known.octets
        while len(self._known) > _MOST or self.octets > self._most_octets:
            self._forget(next(iter(self._known)))

    def _forget(self, key: Hashable) -> None:
        if (known := self._known.pop(key, None)) is not None:
            self.octets -= known.octets


def _octets(found: Site | Outcome) -> int:
    """Return how much memory one takes, about."""
    if isinstance(found, Outcome):
        return _OF_ENTRY + len(found.text)
    hosts = sum(_OF_HOST + len(h.name) + _OF_ADDRESS * len(h.addresses) for h in found.hosts)
    return _OF_ENTRY + len(found.key) + hosts
