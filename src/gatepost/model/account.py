"""Who may log in, with what, and who speaks now."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.secret import Secret


class AccountState(StrEnum):
    """A suspended account is told so (525), but only after valid credentials."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class CredentialKind(StrEnum):
    """What sort of secret a credential is."""

    PASSWORD = "password"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody or something that may send mail.

    `senders` are the addresses it owns: "app@example.com" or "@example.com" for a whole domain,
    in lower case, domain in A-labels.
    """

    name: AccountName
    senders: tuple[str, ...]
    created_at: datetime
    state: AccountState = AccountState.ACTIVE
    #: Somebody sent this account's name and a password in clear (decision 16).
    exposed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """One secret of an account. `verifier` is a PHC string ($argon2id$…), never the secret."""

    id: CredentialId
    account: AccountName
    kind: CredentialKind
    verifier: Secret
    created_at: datetime
    label: str = ""
    last_used_at: datetime | None = None
    last_mechanism: str | None = None
    last_tls: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who speaks now, proven (RFC 4422 §2)."""

    account: AccountName
    credential: CredentialId
    mechanism: str
