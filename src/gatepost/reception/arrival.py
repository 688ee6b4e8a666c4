"""A message at the end of its content, and how it reached us: values, and what they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime

from gatepost.model.account import Account
from gatepost.model.event import Fact
from gatepost.model.ids import CredentialId
from gatepost.model.lane import Lane
from gatepost.model.submission import Origin, Submission
from gatepost.reception.handling import NO_REQUESTS, Handling, Requests
from gatepost.store.quota_protocols import Spending
from gatepost.wire.message.trace import Hop
from gatepost.wire.smtp.future_release import utc_text
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.values import value


@value(frozen=True, slots=True)
class Origination:
    """How a message reached us: what its trace field and its event tell."""

    origin: Origin
    client_name: str
    client_address: str
    protocol: str
    tls_version: str = ""
    tls_cipher: str = ""
    account: Account | None = None
    mechanism: str = ""
    credential: CredentialId | None = None


@value(frozen=True, slots=True)
class Arrival:
    """One message at the end of its content, before anything is decided about it."""

    origination: Origination
    reverse_path: str
    forward_paths: tuple[Mailbox, ...]
    pieces: Sequence[bytes]
    size: int
    eight_bit: bool = False
    binary: bool = False
    utf8: bool = False
    #: What it takes of quotas, counted in the commit that stores it.
    spendings: tuple[Spending, ...] = ()
    #: Recipients that are suppressed, and whose mail the account wants dropped: why, by address.
    dropped: Mapping[str, str] = field(default_factory=dict)
    #: Instructions that came beside the content (`reception.instructions`); they go before its own.
    instructions: Mapping[bytes, bytes] = field(default_factory=dict)
    requests: Requests = NO_REQUESTS

    @property
    def lane(self) -> Lane | None:
        """Return the lane of the credential, else the account; None where nobody chose one."""
        account = self.origination.account
        return account.lane if account else None


def hop_of(
    arrival: Arrival, hostname: str, identifier: str, at: datetime, *, hides_client: bool
) -> Hop:
    """Return what the trace field tells; where the client is hidden, nothing of it."""
    origination = arrival.origination
    hidden = hides_client and origination.origin is Origin.SUBMISSION
    only = arrival.forward_paths[0].text if len(arrival.forward_paths) == 1 else None
    return Hop(
        client_name="" if hidden else origination.client_name,
        client_address="" if hidden else origination.client_address,
        hostname=hostname,
        identifier=identifier,
        at=at,
        protocol=origination.protocol,
        tls_version=origination.tls_version,
        tls_cipher=origination.tls_cipher,
        recipient=only,
        priority=arrival.requests.priority,
    )


def needs_utf8(arrival: Arrival, *, utf8_header: bool) -> bool:
    """Tell whether a next hop must have SMTPUTF8; saying it without need does not (RFC 6531 §3.4)."""
    if not arrival.utf8:
        return False
    paths = (arrival.reverse_path, *(mailbox.local_part for mailbox in arrival.forward_paths))
    return utf8_header or not all(map(str.isascii, paths))


def facts_of(arrival: Arrival, submission: Submission, handling: Handling) -> dict[str, Fact]:
    """Return the facts of the event that tells of the message."""
    origination = arrival.origination
    facts: dict[str, Fact] = {
        "from": submission.reverse_path,
        "recipients": len(arrival.forward_paths),
        "size": submission.size,
        "message_id": submission.message_id,
        "client": origination.client_address,
    }
    if origination.tls_version:
        facts["tls"] = f"{origination.tls_version} {origination.tls_cipher}"
    if origination.mechanism:
        facts["mechanism"] = origination.mechanism
    if handling.urgency.named:
        facts["lane"] = handling.urgency.lane.value
    if submission.release_at:
        facts["release_at"] = utc_text(submission.release_at)
    return facts
