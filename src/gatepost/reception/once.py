"""A message is queued once, however often it comes under its idempotency key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gatepost.model.ids import SubmissionId
from gatepost.model.submission import Submission
from gatepost.reception.instructions import digest_of
from gatepost.store.kept_keys import KeptKey
from gatepost.store.protocols import Transaction


@dataclass(frozen=True, slots=True)
class Once:
    """A key, and the digest that a message under it must come to."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Before:
    """What a key stands for already: an earlier submission of the same message, or (None) another
    message.
    """

    id: SubmissionId | None


def once_under(
    key: str, reverse_path: str, forward_paths: Iterable[str], pieces: Sequence[bytes]
) -> Once:
    """Return how a message is known again: by its key, envelope and content."""
    return Once(key, digest_of((reverse_path, *sorted(forward_paths)), b"".join(pieces)))


def came_before(
    transaction: Transaction, submission: Submission, once: Once, kept: timedelta
) -> Before | None:
    """Return what a key stands for; None when it is new, and stands for this submission now.

    `kept` is for how long keys hold.
    """
    if submission.account is None:
        return None
    oldest = submission.received_at - kept
    known = transaction.kept_key(submission.account, once.key)
    if known is not None and known.at >= oldest:
        return Before(known.submission_id if known.digest == once.digest else None)
    fresh = KeptKey(
        submission.account, once.key, once.digest, submission.id, submission.received_at
    )
    transaction.keep_key(fresh, forget_before=oldest)
    return None
