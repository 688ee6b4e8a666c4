"""A store that looks, before it is used, for what a loss of power has taken."""

from typing import Protocol, runtime_checkable

from gatepost.store.protocols import StoreUnavailableError


class OldDatabaseError(StoreUnavailableError):
    """There is more beside the database than a loss of power takes: it is an old copy."""


class LookLaterError(StoreUnavailableError):
    """What a loss of power took cannot be looked for, or written anew, now. That is noted: nothing of it is
    tidied away, and housekeeping looks again.
    """


@runtime_checkable
class Recovered(Protocol):
    """What is accepted may stand beside its rows for a second before they are on the disk."""

    async def is_whole(self) -> bool:
        """Tell, at little cost, that `recover` has nothing to bring back. Raises StoreUnavailableError."""
        ...

    async def recover(self) -> int:
        """Bring back what had been accepted when the power went, and whose rows were not on the disk
        yet; return how many messages. For a node that starts, before it serves.

        Raises:
            OldDatabaseError: there is more than that beside the database.
            LookLaterError: not now; it is looked for again.
            StoreUnavailableError: not now, and nobody will look again: serve may not begin.

        """
        ...
