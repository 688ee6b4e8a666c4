"""Whose turn it is when more is due than a worker may take: by account, and by its destinations.

By age alone, who has 100 000 deliveries due would go before whoever comes next (ADR 32).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatepost.model.delivery import Leased
from gatepost.model.lane import Lane
from gatepost.store.leases import Lease


@dataclass(frozen=True, slots=True)
class Line:
    """Where mail of accounts stands: a lane, and a pool of source addresses."""

    lane: Lane
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """So many deliveries at most of one account ("": of none), the oldest first; of one of its
    destinations, or of any (None).
    """

    line: Line
    account: str
    count: int
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class Walked:
    """Accounts, or destinations of one, in order of their names: `due` are those with mail that is
    due; `last` is the last one that was looked at, None where that was the end of them all.
    """

    due: tuple[str, ...]
    last: str | None


class ReadsTurns(Protocol):
    """What can be asked. `after` None begins with the first one; what an answer costs depends on
    `limit`, and not on how much waits."""

    def due_accounts(
        self, line: Line, now: datetime, *, after: str | None, limit: int, enough: int
    ) -> Walked:
        """Look at the `limit` next accounts behind `after` of which mail waits in a line, or at
        fewer when `enough` of them have mail that is due."""
        ...

    def due_destinations(
        self, line: Line, account: str, now: datetime, *, after: str | None, limit: int, enough: int
    ) -> Walked:
        """Look at the `limit` next destinations behind `after` for which mail of an account waits, or
        at fewer when mail for `enough` of them is due."""
        ...


class LeasesInTurn(Protocol):
    """What may be done."""

    def lease_turns(self, now: datetime, lease: Lease, turns: Sequence[Turn]) -> list[Leased]:
        """Lease what is due of these."""
        ...

    def lease_ended(
        self, now: datetime, lease: Lease, *, limit: int, within: Mapping[Lane, int]
    ) -> list[Leased]:
        """Lease what others had leased, and no longer have, as `lease_due` does."""
        ...
