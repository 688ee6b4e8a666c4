"""Accounts and their credentials: what every store promises."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatepost.model.account import Account, Credential
from gatepost.model.ids import AccountName, CredentialId


@dataclass(frozen=True, slots=True)
class Use:
    """A login that was granted: with which credential, when, how."""

    credential: CredentialId
    at: datetime
    mechanism: str
    tls: str


class ReadsAccounts(Protocol):
    """What can be asked about accounts."""

    def account(self, name: AccountName) -> Account | None:
        """Return one account."""
        ...

    def accounts(self) -> list[Account]:
        """Return all accounts by name."""
        ...

    def credentials(self, account: AccountName) -> list[Credential]:
        """Return an account's credentials, oldest first."""
        ...

    def certificates(self) -> list[Credential]:
        """Return the credentials of all accounts that are client certificates, oldest first."""
        ...


class ChangesAccounts(Protocol):
    """What a job may change about accounts."""

    def put_account(self, account: Account) -> None:
        """Insert or replace."""
        ...

    def remove_account(self, name: AccountName) -> bool:
        """Remove with all its credentials and suppressions; False when it was not there."""
        ...

    def put_credential(self, credential: Credential) -> None:
        """Insert or replace."""
        ...

    def remove_credential(self, credential_id: CredentialId) -> bool:
        """Remove one; False when it was not there."""
        ...

    def note_uses(self, uses: Iterable[Use]) -> None:
        """Write each credential's last use; one that is gone meanwhile changes nothing."""
        ...
