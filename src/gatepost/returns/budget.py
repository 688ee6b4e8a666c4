"""How many reports an hour go to strangers: to reverse-paths of mail that came without a login.

SPF or DMARC has proven each of them, and yet a spammer can have them by the thousand. What is over is
told to nobody (RFC 5321 §6.2). Counted in the store, so over all workers and nodes.
"""

from datetime import datetime
from typing import Final

from gatepost.model.quota import Subject, Unit, Window
from gatepost.model.submission import Origin, Submission
from gatepost.store.protocols import Reading, Transaction

_SUBJECT: Final = Subject("reports/strangers")


class OverBudgetError(Exception):
    """No more reports go to strangers in this hour."""


def is_for_a_stranger(about: Submission) -> bool:
    """Tell whether a report goes to somebody who has not logged in."""
    return about.account is None and about.origin is Origin.MX


def is_spent(reading: Reading, at: datetime, most: int) -> bool:
    """Tell whether `most` reports went to strangers in the last hour."""
    return reading.tally(_SUBJECT).used(Unit.MESSAGES, Window.HOUR, at.timestamp()) >= most


def spend(transaction: Transaction, at: datetime) -> None:
    """Count one report to a stranger."""
    tally = transaction.tally(_SUBJECT).plus(at.timestamp(), {Unit.MESSAGES: 1})
    transaction.put_tally(tally, at)
