"""Logins whose secret is not among our credentials: an issuer's token, a directory's password.

What every store promises about their last use: one row per account and proof.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatepost.model.ids import AccountName, CredentialId


@dataclass(frozen=True, slots=True)
class ForeignUse:
    """A login that was granted by somebody else's word. `proof` stands for the credential: "oauth",
    or "directory/NAME". The account may be one of a directory, and unknown to the store.
    """

    account: AccountName
    proof: CredentialId
    at: datetime
    mechanism: str
    tls: str


class ReadsForeignUses(Protocol):
    """The reading half."""

    def foreign_uses(self, account: AccountName) -> list[ForeignUse]:
        """Return the last use of each proof of an account's name, by proof."""
        ...


class NotesForeignUses(Protocol):
    """The changing half."""

    def note_foreign_uses(self, uses: Iterable[ForeignUse]) -> None:
        """Write the last use of each account and proof. Removing an account removes its own."""
        ...
