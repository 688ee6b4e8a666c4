"""Nouns as plain values: the one shape that `--json` and every other face shows.

Keys are stable; new ones may come. Times are RFC 3339 in UTC, sizes octets.
"""

from typing import Any

from gatepost.events.journal import time_text
from gatepost.model.delivery import Delivery, Outcome
from gatepost.model.submission import Submission
from gatepost.store.queue_view import QueueRow
from gatepost.wire.smtp.notification import spell_notify


def row_json(row: QueueRow) -> dict[str, Any]:
    """Return one line of a queue listing: the delivery, and of its message what names it."""
    submission = row.submission
    return delivery_json(row.delivery) | {
        "from": submission.reverse_path,
        "account": submission.account,
        "message_id": submission.message_id,
        "size": submission.size,
        "received_at": time_text(submission.received_at),
        "release_at": time_text(submission.release_at) if submission.release_at else None,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return one recipient's way out."""
    return {
        "id": delivery.id,
        "message": delivery.submission_id,
        "recipient": delivery.forward_path,
        "destination": delivery.destination,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt_at": None if delivery.state.is_final else time_text(delivery.next_attempt_at),
        "expires_at": time_text(delivery.expires_at),
        "reason": delivery.reason,
        "lane": delivery.lane.value,
        "pool": delivery.pool,
        "notify": spell_notify(delivery.wishes.notify)
        if delivery.wishes.notify is not None
        else None,
        "orcpt": delivery.wishes.orcpt,
        "last_outcome": outcome_json(delivery.last_outcome) if delivery.last_outcome else None,
    }


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return what one attempt came to."""
    return {
        "kind": outcome.kind.value,
        "code": outcome.code,
        "status": outcome.status,
        "text": outcome.text,
        "host": outcome.host,
        "address": outcome.address,
        "tls": outcome.tls,
        "source": outcome.source,
        "reports": outcome.reports,
    }


def submission_json(submission: Submission) -> dict[str, Any]:
    """Return one accepted message, without its content."""
    return {
        "id": submission.id,
        "from": submission.reverse_path,
        "account": submission.account,
        "message_id": submission.message_id,
        "size": submission.size,
        "received_at": time_text(submission.received_at),
        "release_at": time_text(submission.release_at) if submission.release_at else None,
        "priority": submission.priority,
        "ret": submission.ret.value if submission.ret else None,
        "envid": submission.envid,
        "origin": submission.origin.value,
        "client": submission.client,
    }
