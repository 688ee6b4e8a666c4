"""What a credential usually does, against which sudden change is seen; and whether it is held."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.quota import EMPTY, Sliding


@dataclass(frozen=True, slots=True)
class Busiest:
    """The busiest hour of one day (days since the Unix epoch): recipients, and new networks."""

    day: int
    recipients: int = 0
    networks: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """Recipients of one organisation that did not exist: how many were counted since a minute (of the
    Unix epoch), for an hour.
    """

    since: int
    count: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Since when a credential sends nothing, and why."""

    at: datetime
    because: str


@dataclass(frozen=True, slots=True)
class History:
    """One credential of an account. The Slidings count an hour in minutes: recipients of accepted
    messages, deliveries that ended, those that were refused because there is no such address, and
    networks that it had not come from before.

    `networks` are those it came from ("192.0.2.0/24"), with the day they were seen last. `gone` says
    whose addresses the refused ones were, lately; what is beyond an organisation's share is counted
    neither there nor as ended or refused.
    """

    credential: CredentialId
    account: AccountName
    first_at: datetime
    recipients: Sliding = EMPTY
    ended: Sliding = EMPTY
    refused: Sliding = EMPTY
    strange: Sliding = EMPTY
    days: tuple[Busiest, ...] = ()
    networks: Mapping[str, int] = field(default_factory=dict)
    hold: Hold | None = None
    gone: Mapping[str, Gone] = field(default_factory=dict)


def history_id(credential: CredentialId, account: AccountName) -> CredentialId:
    """Return under what a credential's history is kept: its id, or, where it is somebody else's
    word (a token, a directory's), that word for this account.
    """
    is_own = len(credential) == 32 and "/" not in credential
    return credential if is_own else CredentialId(f"{credential}/{account}")
