"""The throttle of guessing: what every store promises."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Guessed:
    """What one subject of the guessing throttle did (`identity.guessing` says what a subject is):
    when it failed within the window, how often it was locked, until when.
    """

    subject: str
    failures: tuple[datetime, ...]
    locks: int
    locked_until: datetime
    changed_at: datetime


class ReadsGuesses(Protocol):
    """What can be asked about guessing."""

    def guessed(self, subject: str) -> Guessed | None:
        """Return what one subject of the throttle did."""
        ...

    def guesses(self, since: datetime) -> list[Guessed]:
        """Return the subjects of the throttle that changed at `since` or later, in that order."""
        ...


class ChangesGuesses(Protocol):
    """What a job may change about guessing."""

    def put_guessed(self, guessed: Iterable[Guessed]) -> None:
        """Insert or replace."""
        ...

    def forget_guessed(self, *, before: datetime) -> int:
        """Remove subjects that changed last before then, a bounded number; how many."""
        ...
