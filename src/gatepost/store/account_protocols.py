"""Accounts and their credentials: what every store promises."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatepost.model.account import Account, Credential
from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.key_marks import ChangesKeyMark, ReadsKeyMark


@dataclass(frozen=True, slots=True)
class UnreadAccount:
    """An account whose row only a newer program can read (ADR 20): its state in the row's own words,
    and why.
    """

    name: AccountName
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class UnreadCredential:
    """A credential whose row only a newer program can read: its kind and label in the row's own
    words, and why.
    """

    id: CredentialId
    account: AccountName
    kind: str
    label: str
    why: str


@dataclass(frozen=True, slots=True)
class KeptCredentials:
    """An account's credentials, oldest first: those that this program can read, and the others."""

    known: tuple[Credential, ...] = ()
    unread: tuple[UnreadCredential, ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    """A login that was granted: with which credential, when, how."""

    credential: CredentialId
    at: datetime
    mechanism: str
    tls: str


class ReadsAccounts(ReadsKeyMark, Protocol):
    """What can be asked about accounts, and about the key that seals their secrets."""

    def account(self, name: AccountName) -> Account | None:
        """Return one account. Raises NewerRowError where only a newer program can read it."""
        ...

    def accounts(self) -> list[Account]:
        """Return all accounts by name, but those that only a newer program can read."""
        ...

    def unread_accounts(self) -> list[UnreadAccount]:
        """Return the accounts that only a newer program can read, by name."""
        ...

    def kept_credentials(self, account: AccountName) -> KeptCredentials:
        """Return an account's credentials."""
        ...

    def credentials(self, account: AccountName) -> list[Credential]:
        """Return those of an account's credentials that this program can read, oldest first."""
        ...

    def unread_credentials(self) -> list[UnreadCredential]:
        """Return the credentials of all accounts that only a newer program can read."""
        ...

    def keyless_accounts(self) -> list[AccountName]:
        """Return the accounts with a password, good for a login, for which there are no SCRAM keys; by
        name."""
        ...

    def certificates(self) -> list[Credential]:
        """Return the credentials of all accounts that are client certificates, oldest first; of
        those that this program can read.
        """
        ...


class ChangesAccounts(ChangesKeyMark, Protocol):
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

    def note_exposed(self, credential_id: CredentialId, at: datetime) -> bool:
        """Note that a credential's secret came in clear; False: it is gone, or it was noted before."""
        ...

    def note_uses(self, uses: Iterable[Use]) -> None:
        """Write each credential's last use; one that is gone meanwhile changes nothing."""
        ...
