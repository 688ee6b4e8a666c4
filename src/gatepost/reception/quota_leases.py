"""Jobs of the store that hand out portions of quotas, and take back what was not spent.

A portion is a worker's to spend without asking. What is counted and what all workers hold together
never exceed a limit, so that a limit is never exceeded, whoever dies when.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.ids import AccountName, WorkerId
from gatepost.model.quota import Limits, Subject, Unit
from gatepost.reception.quota import MOST, Use, Warned, narrowest, portion, uses, warnings
from gatepost.store.protocols import Transaction
from gatepost.store.quota_protocols import QuotaLease

NOTHING: Final[Mapping[Unit, int]] = {}


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose limits are asked about: an account's, or (with its label or kind) one credential's."""

    subject: Subject
    account: AccountName
    limits: Limits
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Whose leases a job is about, its time in seconds since the Unix epoch, and until when what
    it leaves is held.
    """

    worker: WorkerId
    at: float
    until: float

    @property
    def end(self) -> datetime:
        """Return `until`, as rows keep it."""
        return datetime.fromtimestamp(self.until, UTC)


@dataclass(frozen=True, slots=True)
class Granted:
    """What a worker got; for what was not enough, the limit that is spent, and whether neighbours
    hold some of it.
    """

    counts: Mapping[Unit, int]
    spent: Mapping[Unit, Use] = field(default_factory=dict)
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Surrender:
    """What a worker gives back of one subject; all that it still holds, where it `is_last`."""

    holder: Holder
    counts: Mapping[Unit, int] = field(default_factory=dict)
    is_last: bool = False


def draw(
    transaction: Transaction, holder: Holder, wanted: Mapping[Unit, int], span: Span
) -> Granted:
    """Hand a worker portions of the units in `wanted`: at least as many as it says, if there are,
    and with none wanted some in advance. Where too few are left, neighbours are asked for theirs.
    """
    leases = []
    for lease in transaction.quota_leases(holder.subject):
        if lease.until.timestamp() > span.at:
            leases.append(lease)
        else:
            transaction.put_quota_lease(replace(lease, messages=0, recipients=0))
    held = _held(leases)
    found = _look(transaction, holder, span.at, held)
    counts = {
        unit: portion(use.left, count, MOST[unit])
        for unit, count in wanted.items()
        if (use := narrowest(found, unit)) is not None
    }
    spent = {}
    if short := [unit for unit in counts if counts[unit] < wanted[unit]]:
        handed_out = {unit: held[unit] + counts.get(unit, 0) for unit in held}
        then = uses(transaction.tally(holder.subject), holder.limits, span.at, held=handed_out)
        spent = {unit: use for unit in short if (use := narrowest(then, unit)) is not None}
    own = [lease for lease in leases if lease.worker == span.worker]
    others = _held(lease for lease in leases if lease.worker != span.worker)
    _keep(transaction, holder.subject, own, counts, span)
    elsewhere = any(others.get(unit) for unit in spent)
    if elsewhere:
        transaction.recall(holder.subject, span.worker)
    return Granted(counts, spent, elsewhere)


def give_back(transaction: Transaction, surrenders: Iterable[Surrender], span: Span) -> None:
    """Take back what a worker does not need, and prolong what it keeps."""
    for surrender in surrenders:
        holder = surrender.holder
        own = [
            lease
            for lease in transaction.quota_leases(holder.subject)
            if lease.worker == span.worker
        ]
        back = _held(own) if surrender.is_last else surrender.counts
        _keep(transaction, holder.subject, own, {u: -count for u, count in back.items()}, span)
        _look(transaction, holder, span.at, NOTHING)


def _keep(
    transaction: Transaction,
    subject: Subject,
    own: Sequence[QuotaLease],
    more: Mapping[Unit, int],
    span: Span,
) -> None:
    held = _held(own)
    transaction.put_quota_lease(
        QuotaLease(
            subject,
            span.worker,
            held.get(Unit.MESSAGES, 0) + more.get(Unit.MESSAGES, 0),
            held.get(Unit.RECIPIENTS, 0) + more.get(Unit.RECIPIENTS, 0),
            span.end,
        )
    )


def _held(leases: Iterable[QuotaLease]) -> dict[Unit, int]:
    held = {Unit.MESSAGES: 0, Unit.RECIPIENTS: 0}
    for lease in leases:
        held[Unit.MESSAGES] += lease.messages
        held[Unit.RECIPIENTS] += lease.recipients
    return held


def _look(
    transaction: Transaction, holder: Holder, at: float, held: Mapping[Unit, int]
) -> list[Use]:
    """Return how the subject stands; tell the operator of limits that are nearly spent, once."""
    tally = transaction.tally(holder.subject)
    told, crossed = warnings(tally, uses(tally, holder.limits, at, held=NOTHING))
    if told.warned != tally.warned:
        moment = datetime.fromtimestamp(at, UTC)
        transaction.put_tally(replace(tally, warned=told.warned), moment)
        transaction.add_events([_warning(holder, each, moment) for each in crossed])
    return uses(tally, holder.limits, at, held=held)


def _warning(holder: Holder, warned: Warned, at: datetime) -> Event:
    use = warned.use
    facts: dict[str, Fact] = {
        "percent": warned.percent,
        "unit": use.unit.value,
        "window": use.window.value,
        "used": use.used,
        "limit": use.most,
    }
    if holder.credential:
        facts["credential"] = holder.credential
    return Event(EventKind.QUOTA_WARNED, at, account=holder.account, facts=facts)
