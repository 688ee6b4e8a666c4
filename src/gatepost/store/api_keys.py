"""Keys of the HTTP API: what every store promises."""

from datetime import datetime
from typing import Protocol

from gatepost.model.api_key import ApiKey


class ReadsApiKeys(Protocol):
    """The reading half."""

    def api_key(self, key_id: str) -> ApiKey | None:
        """Return one key. Raises NewerRowError where only a newer program can use it."""
        ...

    def api_keys(self) -> list[ApiKey]:
        """Return all keys that this program can use, oldest first."""
        ...


class ChangesApiKeys(Protocol):
    """The changing half. Removing an account removes its keys."""

    def put_api_key(self, key: ApiKey) -> None:
        """Insert or replace."""
        ...

    def remove_api_key(self, key_id: str) -> bool:
        """Remove one; False when it was not there."""
        ...

    def note_api_key_use(self, key_id: str, at: datetime) -> None:
        """Write a key's last use; one that is gone meanwhile changes nothing."""
        ...
