"""Which destinations have mail that is due: for a worker that has enough of some of them in hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from gatepost.model.delivery import Leased
from gatepost.model.lane import Lane
from gatepost.store.pools import ANY_NODE

if TYPE_CHECKING:
    from gatepost.store.protocols import Lease


@dataclass(frozen=True, slots=True)
class Walked:
    """Destinations in order of their names: `due` are those with mail that is due; `last` is the
    last one that was looked at, "" where that was the end of them all.
    """

    due: tuple[str, ...]
    last: str


class ReadsDestinations(Protocol):
    """What can be asked about them."""

    def due_destinations(
        self,
        lane: Lane,
        now: datetime,
        *,
        after: str,
        limit: int,
        pools: Sequence[str] = ANY_NODE,
    ) -> Walked:
        """Look at the `limit` next destinations behind `after` for which mail of a lane and of one
        of these pools waits. What this costs depends on `limit`, and not on how much waits.
        """
        ...


class LeasesOfDestinations(Protocol):
    """What may be done with them."""

    def lease_of(
        self,
        now: datetime,
        lease: "Lease",
        *,
        destinations: Mapping[Lane, Sequence[str]],
        each: int,
    ) -> list[Leased]:
        """Lease what is due for these destinations, `each` of one and a pool at most, oldest
        due first."""
        ...

    def lease_ended(
        self, now: datetime, lease: "Lease", *, limit: int, within: Mapping[Lane, int]
    ) -> list[Leased]:
        """Lease what others had leased, and no longer have, as `lease_due` does."""
        ...
