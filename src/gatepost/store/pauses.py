"""Source addresses that an operator has paused, whichever node has them: what every store promises."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pause:
    """One address from which nothing new is sent: since when, by whom, and why ("" for no reason).

    `address` is an IP address in its shortest form.
    """

    address: str
    since: datetime
    by: str
    reason: str = ""


class ReadsPauses(Protocol):
    """The reading half."""

    def pauses(self) -> list[Pause]:
        """Return all, by address."""
        ...


class ChangesPauses(Protocol):
    """The changing half."""

    def put_pause(self, pause: Pause) -> None:
        """Insert or replace."""
        ...

    def remove_pause(self, address: str) -> bool:
        """Remove; False where there was none."""
        ...
