"""Which refusals mean that a recipient is gone for good, so that nothing is sent there again.

Conservative: only a permanent reply of the other side to RCPT (or to the content, where that was for
one recipient) in a submission of an account, with an enhanced code that says "no such mailbox" or
"mailbox disabled" (RFC 3463 §3.2, §3.3; Exchange says 5.1.10), and no word of spam, policy or rates
in it. A block never suppresses: it tells about us, not about the recipient; nor what is said to MAIL,
whatever its code: that is about the sender.
"""

import re
from dataclasses import replace
from datetime import datetime
from typing import Final

from gatepost.model.delivery import OutcomeKind
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.submission import Origin
from gatepost.model.suppression import (
    LONGEST_REASON,
    Suppression,
    SuppressionClass,
)
from gatepost.model.suppression_subject import parse_subject
from gatepost.returns.settlement import Result
from gatepost.store.protocols import Settlement

_GONE: Final = frozenset({"5.1.1", "5.1.6", "5.1.10", "5.2.1"})
_RATHER_A_BLOCK: Final = re.compile(
    r"spam|block|polic|reputation|black ?list|dnsbl|listed|rate|quota|full|too (?:many|fast)|"
    r"quickly|denied|reject(?:ed)? due|authenticat|relay|sender",
    re.IGNORECASE,
)


def suppression_for(result: Result, at: datetime) -> Suppression | None:
    """Return what an attempt's outcome suppresses, for the account that sent: mostly nothing."""
    outcome, submission = result.outcome, result.leased.submission
    if outcome is None or outcome.kind is not OutcomeKind.REFUSED or outcome.status not in _GONE:
        return None
    if not outcome.is_about_recipient or outcome.code < 500 or _RATHER_A_BLOCK.search(outcome.text):
        return None
    if submission.origin is not Origin.SUBMISSION or submission.account is None:
        return None
    subject = parse_subject(result.leased.delivery.forward_path)
    if subject is None:
        return None
    return Suppression(
        subject,
        SuppressionClass.BOUNCED,
        at,
        submission.account,
        reason=outcome.words[:LONGEST_REASON],
    )


def with_suppression(settlement: Settlement, result: Result, at: datetime) -> Settlement:
    """Return a settlement with what its outcome suppresses, and the event that tells it."""
    suppression = suppression_for(result, at)
    if suppression is None:
        return settlement
    event = added(suppression, at)
    delivery = result.leased.delivery
    event = replace(event, submission_id=delivery.submission_id, delivery_id=delivery.id)
    return replace(settlement, suppression=suppression, events=(*settlement.events, event))


def added(suppression: Suppression, at: datetime, by: str = "") -> Event:
    """Return the event of a suppression that is added."""
    return Event(
        EventKind.SUPPRESSION_ADDED, at, account=suppression.account, facts=facts(suppression, by)
    )


def facts(suppression: Suppression, by: str) -> dict[str, Fact]:
    """Return what an event says about a suppression."""
    told = {
        "subject": suppression.subject,
        "class": suppression.kind.value,
        "stream": suppression.stream,
        "reason": suppression.reason,
        "by": by,
    }
    return {name: value for name, value in told.items() if value}
