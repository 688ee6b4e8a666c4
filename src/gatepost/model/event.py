"""What happened: one vocabulary for journal, trace, webhooks and metrics."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from gatepost.model.ids import AccountName, DeliveryId, SubmissionId
from gatepost.wire.values import value

#: What a fact may be: no nesting, no secret, no content.
Fact = str | int | float | bool


class EventKind(StrEnum):
    """Every kind of event there is. Names are stable: outside programs match on them."""

    ACCEPTED = "message.accepted"
    REPEATED = "message.repeated"
    REFUSED_AT_DOOR = "message.refused"
    ATTEMPTED = "delivery.attempted"
    DELIVERED = "delivery.delivered"
    CAPTURED = "delivery.captured"
    DISCARDED = "delivery.discarded"
    DEFERRED = "delivery.deferred"
    REFUSED = "delivery.refused"
    EXPIRED = "delivery.expired"
    DELAYED = "delivery.delayed"
    HELD = "delivery.held"
    RELEASED = "delivery.released"
    RETRIED = "delivery.retried"
    CANCELLED = "delivery.cancelled"
    RESTORED = "delivery.restored"
    RETURNED = "return.sent"
    RETURN_DROPPED = "return.dropped"
    ALIGNMENT_WARNED = "alignment.warned"
    BULK_NEARED = "bulk.neared"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_REFUSED = "login.refused"
    LOGIN_UNLOCKED = "login.unlocked"
    ACCOUNT_ADDED = "account.added"
    ACCOUNT_CHANGED = "account.changed"
    ACCOUNT_EXPOSED = "account.exposed"
    ACCOUNT_REMOVED = "account.removed"
    QUOTA_WARNED = "quota.warned"
    SUPPRESSED = "delivery.suppressed"
    SUPPRESSION_ADDED = "suppression.added"
    SUPPRESSION_REMOVED = "suppression.removed"
    SUPPRESSION_IMPORTED = "suppression.imported"
    CREDENTIAL_HELD = "credential.held"
    CREDENTIAL_RELEASED = "credential.released"
    API_KEY_ADDED = "api-key.added"
    API_KEY_REVOKED = "api-key.revoked"
    DOMAIN_ADDED = "domain.added"
    DOMAIN_CHANGED = "domain.changed"
    DOMAIN_REMOVED = "domain.removed"
    DOMAIN_FAILING = "domain.failing"
    DOMAIN_PASSING = "domain.passing"
    DOMAIN_PROOF_MISSING = "domain.proof_missing"
    DOMAIN_PROOF_LAPSED = "domain.proof_lapsed"
    SIGNATURE_BROKEN = "signature.broken"
    EGRESS_PAUSED = "egress.paused"
    EGRESS_RESUMED = "egress.resumed"
    TLS_BROKEN = "tls.broken"
    WORKER_LOST = "worker.lost"
    CLOCK_TURNED = "clock.turned"
    CERTIFICATE_EXPIRING = "certificate.expiring"


@value(frozen=True, slots=True)
class LaterKind:
    """A kind that only a newer program knows: it is passed on in its own words."""

    value: str


@value(frozen=True, slots=True)
class Event:
    """One thing that happened, written in the transaction that made it happen.

    `facts` are flat: "code", "status", "text", "answered" (what of ours a refusal answered), "host",
    "address", "tls", "source" (our own address), "recipient", "attempt", "next_attempt_at" (RFC 3339), "reason", "tag", "mechanism", "client", "size", "signed" (with
    spaces between, the "domain/selector" of each signature), "spf", "dkim" and "dmarc" (each a
    result and what it is about), "alignment", "mend" …
    """

    kind: EventKind | LaterKind
    at: datetime
    submission_id: SubmissionId | None = None
    delivery_id: DeliveryId | None = None
    account: AccountName | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
