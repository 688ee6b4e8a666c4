"""An account says that a domain is its own, and proves it by a TXT record that we name.

The token is for one account and one domain: whoever may write the zone has let this account in, and
no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gatepost.model.ids import AccountName


@dataclass(frozen=True, slots=True)
class DomainClaim:
    """One account's claim to one domain; `proven_at` None: not yet."""

    domain: str
    account: AccountName
    token: str
    created_at: datetime
    proven_at: datetime | None = None
    #: Since when a proof that was good is not found any more.
    missing_since: datetime | None = None

    @property
    def record_name(self) -> str:
        """Return where the proof is looked for."""
        return f"_gatepost.{self.domain}"

    @property
    def record_text(self) -> str:
        """Return the TXT record that proves it."""
        return f"gatepost-account={self.token}"

    def is_proven_by(self, texts: Sequence[str]) -> bool:
        """Tell whether the proof is among the TXT records that stand there."""
        return self.record_text in (text.strip() for text in texts)
