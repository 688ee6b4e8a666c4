"""Whom we no longer send to, why, and since when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from gatepost.model.grant import canonical
from gatepost.model.ids import AccountName
from gatepost.wire.smtp.grammar import is_domain

#: What is kept of why; more helps nobody.
LONGEST_REASON: Final = 300


class SuppressionClass(StrEnum):
    """Why an address is suppressed. A block (spam, policy, reputation) never is a reason."""

    BOUNCED = "bounced"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address, or "@domain" for all of a domain, that mail is no longer sent to.

    `subject` is canonical (`parse_subject`). `account` None: for all accounts; `stream` "": for all
    streams of the account. One subject has at most one suppression per account and stream.
    """

    subject: str
    kind: SuppressionClass
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


def parse_subject(text: str) -> str | None:
    """Return an address, a domain or "@domain" as suppressions keep it; None when it is none."""
    written = text.strip()
    form = canonical(written if "@" in written else f"@{written}")
    if form is None:
        return None
    local_part, _, domain = form.rpartition("@")
    readable = form.isprintable() and " " not in local_part
    return form if readable and is_domain(domain) else None


def subjects_of(address: str) -> tuple[str, ...]:
    """Return under which subjects a recipient can be suppressed: its own, its domain's."""
    form = canonical(address)
    return () if form is None else (form, form[form.rindex("@") :])


def is_stream_name(text: str) -> bool:
    """Tell whether a stream may be called so: 1 to 64 letters, digits, "-", "_" or "."."""
    return 0 < len(text) <= 64 and text.isascii() and all(c.isalnum() or c in "-_." for c in text)
