"""What every store promises about the histories of credentials, and which of them are held."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gatepost.model.history import History
from gatepost.model.ids import AccountName, CredentialId


class HistoryReading(Protocol):
    """What can be asked about histories."""

    def history(self, credential: CredentialId) -> History | None:
        """Return one credential's history, by its `history_id`."""
        ...

    def held_histories(self, account: AccountName) -> Sequence[History]:
        """Return the histories of an account's credentials that are held, by their ids."""
        ...


class HistoryChanges(Protocol):
    """What a job may change about histories."""

    def put_history(self, history: History, at: datetime) -> None:
        """Insert or replace."""
        ...

    def forget_histories(self, *, before: datetime) -> int:
        """Remove those that changed last before then and are not held, a bounded number; how
        many.
        """
        ...
