"""Which workers are there, on which nodes, and when each was heard last: what every store promises.

All times are the store's own, never a node's: what a node believes of the time decides nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gatepost.model.ids import WorkerId
from gatepost.model.source import Source


@dataclass(frozen=True, slots=True)
class Announced:
    """A source of a node (`model.source`), and those of its addresses that its machine has not now."""

    source: Source
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a worker says of itself, again and again. `home` is its node's state directory, by a
    random id: it tells two nodes of one name apart. `addresses` are those that it listens on, `sources`
    those that it calls from. `at` is the time by its own clock.
    """

    worker: WorkerId
    node: str
    home: str
    version: str
    addresses: tuple[str, ...]
    at: datetime
    sources: tuple[Announced, ...] = ()


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to an announcement: the store's time, when the worker was heard before that
    (None: never, or it had left), and whether neighbours held it for lost meanwhile.
    """

    now: datetime
    before: datetime | None = None
    was_lost: bool = False


@dataclass(frozen=True, slots=True)
class Presence:
    """One worker. `ahead` is how far its node's clock is ahead of the store's; `lost`: it was silent
    for too long, and neighbours took over what it held.
    """

    worker: WorkerId
    node: str
    home: str
    version: str
    addresses: tuple[str, ...]
    since: datetime
    heard_at: datetime
    ahead: timedelta
    lost: bool = False
    sources: tuple[Announced, ...] = ()


class ReadsPresences(Protocol):
    """The reading half."""

    def time(self) -> datetime:
        """Return the store's time."""
        ...

    def presences(self) -> list[Presence]:
        """Return all workers that have not left, the lost ones too, by name."""
        ...

    def leases_held(self) -> dict[WorkerId, int]:
        """Return how many deliveries each worker has leased, ended leases too."""
        ...


class ChangesPresences(Protocol):
    """The changing half."""

    def beat(self, announcement: Announcement) -> Beat:
        """Note that a worker is alive; one that was held for lost is there again."""
        ...

    def bury(self, silent_for: timedelta) -> list[Presence]:
        """Hold for lost who was not heard for so long or longer; return whom nobody had held for
        lost before, as they were. What they had leased is the caller's business.
        """
        ...

    def leave(self, worker_prefix: str) -> None:
        """Forget workers whose id begins with `worker_prefix`."""
        ...

    def forget_presences(self, *, before: datetime) -> int:
        """Forget lost workers that were heard last before then; how many."""
        ...
