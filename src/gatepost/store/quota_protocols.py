"""What every store promises about quotas: counts of what was sent, and leases on what may be.

A worker's lease is what it may let in without asking. What is let in is counted with `spend`, in
the transaction that stores the message, and leaves the lease there: so counts are exact, and a
worker that dies has lost no more than it held unspent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatepost.model.ids import WorkerId
from gatepost.model.quota import Subject, Tally
from gatepost.wire.values import value


@dataclass(frozen=True, slots=True)
class QuotaLease:
    """What one worker holds of one subject's limits: neither spent nor anybody else's.

    `recalled`: a neighbour found nothing left, and asks for what is not in use.
    """

    subject: Subject
    worker: WorkerId
    messages: int
    recipients: int
    until: datetime
    recalled: bool = False


@value(frozen=True, slots=True)
class Spending:
    """What one stored message took from a worker's lease. `drawn_messages` and `drawn_recipients` are what
    that lease must still hold of it: nothing where no limit restricts them.
    """

    subject: Subject
    worker: WorkerId
    at: datetime
    messages: int
    recipients: int
    drawn_messages: int = 0
    drawn_recipients: int = 0


class QuotaReading(Protocol):
    """What can be asked about quotas."""

    def tally(self, subject: Subject) -> Tally:
        """Return what a subject has sent; an empty one where nothing is known."""
        ...

    def quota_leases(self, subject: Subject) -> list[QuotaLease]:
        """Return what workers hold of a subject's limits, ended leases too."""
        ...

    def recalled(self, worker: WorkerId) -> list[Subject]:
        """Return of which subjects this worker is asked to give back what it does not use."""
        ...


class QuotaChanges(Protocol):
    """What a job may change about quotas."""

    def put_tally(self, tally: Tally, at: datetime) -> None:
        """Insert or replace."""
        ...

    def put_quota_lease(self, lease: QuotaLease) -> None:
        """Insert or replace; one that holds nothing is removed."""
        ...

    def recall(self, subject: Subject, by: WorkerId) -> None:
        """Mark the leases of all other workers on a subject as recalled."""
        ...

    def spend(self, spendings: Iterable[Spending]) -> None:
        """Count what was sent, and take it out of the worker's leases (down to nothing).

        Raises:
            NotLeasedError: what was drawn is not there any more, since the worker stood still for longer
                than it held, and others may have it. Here, or when the batch is written.

        """
        ...

    def free_quota_leases(self, worker_prefix: str) -> None:
        """Remove the leases of workers whose id begins with `worker_prefix`."""
        ...

    def forget_quotas(self, *, before: datetime) -> int:
        """Remove tallies that changed last before then, a bounded number, and leases that ended
        before then; how many tallies.
        """
        ...
