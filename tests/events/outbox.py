"""An outbox in memory: as much of a store as the events' room asks for."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from gatepost.model.event import Event
from gatepost.store.outbox import StoredEvent
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.rows import microseconds


class Outbox:
    """Store, Transaction and Reading in one. `away` makes it fail."""

    def __init__(self) -> None:
        self.stored: list[StoredEvent] = []
        self.positions: dict[str, int] = {}
        self.claims: dict[str, int] = {}
        self.away = False
        self.writes = 0
        self.refused = 0

    def add_events(self, events: Sequence[Event]) -> None:
        if any(event.facts.get("poison") for event in events):
            raise ValueError("cannot be written")
        for event in events:
            self.stored.append(StoredEvent(len(self.stored) + 1, event))

    def events(self, *, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return self.stored[after : after + limit]

    def position(self, reader: str) -> int:
        return self.positions.get(reader, 0)

    def set_position(self, reader: str, position: int) -> None:
        self.positions[reader] = position

    def claim_reader(self, reader: str, claim: int, now: datetime, until: datetime) -> int:
        there = self.claims.get(reader, 0)
        if there not in {0, claim} and there > microseconds(now):
            return 0
        self.claims[reader] = microseconds(until)
        return self.claims[reader]

    def advance_reader(self, reader: str, position: int, claim: int, until: datetime) -> int:
        if self.claims.get(reader) != claim:
            return 0
        self.positions[reader] = max(position, self.position(reader))
        self.claims[reader] = microseconds(until)
        return self.claims[reader]

    async def read(self, query: Callable[[Any], Any]) -> Any:
        self._check()
        return query(self)

    async def write(self, job: Callable[[Any], Any], content: object = None) -> Any:
        self._check()
        self.writes += 1
        return job(self)

    def _check(self) -> None:
        if self.away:
            self.refused += 1
            raise StoreUnavailableError("away")
