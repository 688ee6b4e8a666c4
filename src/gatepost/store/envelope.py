"""What is written beside a message's content, so that its rows could be made anew."""

from collections.abc import Sequence

from gatepost.model.delivery import Delivery
from gatepost.model.quota import Subject, account_subject, credential_subject
from gatepost.model.submission import Submission
from gatepost.store.quota_protocols import Spending
from gatepost.wire.values import value


@value(frozen=True, slots=True)
class Envelope:
    """A message and the deliveries that were to be made of it when it was written.

    `is_certain`: it had been accepted before. A new message is written before that is known.
    `suffices`: all that its job writes beside is told by it, or only tells; so its rows need no sync of
    their own (ADR 34). `counted`: in whose quotas it counts, as one message, and a recipient for each delivery.
    """

    submission: Submission
    deliveries: Sequence[Delivery]
    is_certain: bool = False
    suffices: bool = False
    counted: Sequence[Subject] = ()


def envelope_of(
    submission: Submission,
    deliveries: Sequence[Delivery],
    spendings: Sequence[Spending] = (),
    *,
    suffices: bool,
) -> Envelope:
    """Return the envelope of a new message, which `suffices` where it can tell what is spent, too."""
    if not spendings:
        return Envelope(submission, deliveries, suffices=suffices)
    known, cost = subjects_of(submission), (1, len(deliveries))
    tells = all(
        each.subject in known and (each.messages, each.recipients) == cost
        for each in spendings  # a recipient that was named twice costs two, and is one delivery
    )
    counted = tuple(subject for subject in known if any(subject == s.subject for s in spendings))
    return Envelope(submission, deliveries, suffices=suffices and tells, counted=counted)


def subjects_of(submission: Submission) -> tuple[Subject, ...]:
    """Return in whose quotas a message can count: its account's, then its credential's."""
    account, credential = submission.account, submission.credential
    by_account = () if account is None else (account_subject(account),)
    by_credential = () if credential is None else (credential_subject(credential),)
    return (*by_account, *by_credential)
