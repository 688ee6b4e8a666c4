"""One recipient's way out, and what became of each attempt."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.submission import Submission
from gatepost.wire.smtp.notification import NO_WISHES, RecipientWishes
from gatepost.wire.smtp.reply_reader import Answered
from gatepost.wire.values import value


class DeliveryState(StrEnum):
    """Where a delivery stands. The last five are final."""

    DUE = "due"
    LEASED = "leased"
    HELD = "held"
    DELIVERED = "delivered"
    CAPTURED = "captured"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True when nothing more will be tried."""
        return self not in {DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.HELD}


#: Why a delivery is due that an operator wants to be tried at once, from `next_attempt_at` on.
ASKED_FOR: Final = "an operator asked for it"

#: The final dot of a message with more recipients speaks for all of them, and MAIL of the reverse-path.
_ABOUT_RECIPIENT: Final = frozenset({Answered.RCPT, Answered.CONTENT_FOR_ONE})


class OutcomeKind(StrEnum):
    """What one attempt came to."""

    DELIVERED = "delivered"
    CAPTURED = "captured"
    DISCARDED = "discarded"
    DEFERRED = "deferred"
    REFUSED = "refused"


@value(frozen=True, slots=True)
class Outcome:
    """What one attempt came to, and who said so.

    `code` and `status` are the other side's (RFC 5321 §4.2, RFC 3463); code 0 where nobody
    answered, and then `status` is ours. `text` is one line, without secrets. `host` is the name of
    the next hop, `address` its "ip:port", `tls` "TLSv1.3 TLS_AES_256_GCM_SHA384" or "". `source` is
    our own IP address where it was chosen, "" where the system chooses.
    `reports`: the next hop was told the sender's wishes and reports on its own (RFC 3461 §5.2.1).
    `in_mailbox`: this was the last hop, not a relay (§5.2.3).
    `answered`: what of ours a refusal answered; it is told, and not stored.
    """

    kind: OutcomeKind
    code: int = 0
    status: str = ""
    text: str = ""
    host: str = ""
    address: str = ""
    tls: str = ""
    reports: bool = False
    in_mailbox: bool = False
    source: str = ""
    answered: Answered = Answered.UNSAID

    @property
    def is_about_recipient(self) -> bool:
        """Whether what a refusal says of an address can only mean the recipient's."""
        return self.answered in _ABOUT_RECIPIENT

    @property
    def words(self) -> str:
        """Return the outcome in one line, as a log or a report shows it."""
        return " ".join(p for p in (str(self.code or ""), self.status, self.text) if p)


@value(frozen=True, slots=True)
class Delivery:
    """One recipient of one submission.

    `forward_path` is as given (local part untouched), domain in lower-case A-labels;
    `destination` is that domain, or the address literal with its brackets.
    `attempts` counts dialled attempts and alone drives retry; `leases` counts every lease
    (decision 10). `reason` says why it waits, in words for a person. `lane` and `pool` (of source
    addresses; "" for none) were fixed when the message was accepted; `wishes` are what its sender
    asked to be told (RFC 3461). `account` is whose share it takes of what all mail needs ("": nobody's);
    of one that is finished it is not kept.
    """

    id: DeliveryId
    submission_id: SubmissionId
    forward_path: str
    destination: str
    next_attempt_at: datetime
    expires_at: datetime
    state: DeliveryState = DeliveryState.DUE
    attempts: int = 0
    leases: int = 0
    last_outcome: Outcome | None = None
    reason: str = ""
    warned: bool = False
    lane: Lane = Lane.TRANSACTIONAL
    wishes: RecipientWishes = NO_WISHES
    pool: str = ""
    account: str = ""


@value(frozen=True, slots=True)
class Leased:
    """A delivery in this worker's hands until the lease ends.

    `fence` is the token that a settle must show: one that lost its lease changes nothing.
    """

    delivery: Delivery
    submission: Submission
    fence: int

    @property
    def account(self) -> str:
        """Return whose share it takes ("": of no account)."""
        return self.delivery.account or self.submission.account or ""
