"""Keys of programs that use the HTTP API."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.quota import Limits
from gatepost.model.secret import Secret


class Scope(StrEnum):
    """What a key is good for: to submit and judge messages, to look, to change things."""

    SEND = "send"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret: `verifier` is "$blake2b$…".

    `account` binds it: it sends as that account and sees only what is that account's. Only a key
    with an account sends.
    """

    id: str
    verifier: Secret
    scopes: tuple[Scope, ...]
    created_at: datetime
    account: AccountName | None = None
    label: str = ""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    #: How much may be sent with it, within what the account may send.
    limits: Limits = ()

    @property
    def credential(self) -> CredentialId:
        """Return under what its messages, counts and history are kept."""
        return CredentialId(f"api/{self.id}")

    def is_good(self, now: datetime) -> bool:
        """Tell whether it has not expired."""
        return self.expires_at is None or now < self.expires_at
