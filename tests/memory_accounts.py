"""Accounts of a store in memory: every row can be read."""

from typing import Any

from gatepost.model.account import Credential
from gatepost.store.account_protocols import KeptCredentials


class MemoryAccounts:
    """What follows from `credentials`."""

    def credentials(self, name: Any) -> list[Credential]:
        raise NotImplementedError

    def kept_credentials(self, name: Any) -> KeptCredentials:
        return KeptCredentials(tuple(self.credentials(name)))

    def unread_accounts(self) -> list[Any]:
        return []
