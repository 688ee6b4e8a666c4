"""Whom we no longer send to, why, and since when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from gatepost.model.ids import AccountName

#: What is kept of why; more helps nobody.
LONGEST_REASON: Final = 300


class SuppressionClass(StrEnum):
    """Why an address is suppressed. A block (spam, policy, reputation) never is a reason."""

    BOUNCED = "bounced"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class LaterClass:
    """A class that only a newer program knows: it suppresses all the same, in its own words."""

    value: str


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address, or "@domain" for all of a domain, that mail is no longer sent to.

    `subject` is canonical (`parse_subject`). `account` None: for all accounts; `stream` "": for all
    streams of the account. One subject has at most one suppression per account and stream.
    """

    subject: str
    kind: SuppressionClass | LaterClass
    since: datetime
    account: AccountName | None = None
    stream: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """Return class, date and reason in one line."""
        stream = f" from {self.stream}" if self.stream else ""
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.kind.value}{stream} since {self.since:%Y-%m-%d}{reason}"
