"""Readers of the outbox: who of several nodes goes on for one of them, and how far it has come."""

from datetime import datetime
from typing import Protocol


class AdvancesReaders(Protocol):
    """The changing half; a claim is known by a number, which changes as it is prolonged."""

    def claim_reader(self, reader: str, claim: int, now: datetime, until: datetime) -> int:
        """Go on alone for `reader` until a time. `claim` is the last one of ours, 0 at first. Return
        the new claim; 0 while that of another stands."""
        ...

    def advance_reader(self, reader: str, position: int, claim: int, until: datetime) -> int:
        """Remember how far `reader` has come, never back, and prolong the claim. Return the new
        claim; 0 where another has it by now, and nothing was changed."""
        ...
