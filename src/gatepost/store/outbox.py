"""What every store promises about the outbox: events, written in the transactions that they tell of,
and read from position to position.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from gatepost.model.event import Event
from gatepost.model.ids import AccountName, SubmissionId
from gatepost.wire.values import value


@value(frozen=True, slots=True)
class StoredEvent:
    """An event with its place in the outbox: positions rise, and never change."""

    position: int
    event: Event


class ReadsEvents(Protocol):
    """The reading half."""

    def refused_logins(
        self, since: datetime, *, tag: str | None = None, account: AccountName | None = None
    ) -> list[Event]:
        """Return the LOGIN_REFUSED events of one tag or of one account since then, oldest first."""
        ...

    def events(
        self,
        *,
        submission_id: SubmissionId | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[StoredEvent]:
        """Return events in the order of their positions."""
        ...

    def position(self, reader: str) -> int:
        """Return up to which event position `reader` (say "journal") has come; 0 at first."""
        ...


class AddsEvents(Protocol):
    """The changing half."""

    def add_events(self, events: Iterable[Event]) -> None:
        """Append to the outbox."""
        ...

    def set_position(self, reader: str, position: int) -> None:
        """Remember how far `reader` has come."""
        ...
