"""Quotas in tables: one row of counts per subject, one row per worker's lease on it."""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from gatepost.model.ids import WorkerId
from gatepost.model.quota import BUCKETS, Sliding, Subject, Tally, Unit
from gatepost.store.protocols import NotLeasedError
from gatepost.store.quota_protocols import QuotaLease, Spending
from gatepost.store.rows import Row, as_json, microseconds, moment
from gatepost.store.statements import Asks, Changes, upsert_one

#: A window's newest bucket, then its counts: 8 windows of 248 octets, little-endian.
_WINDOW: Final = struct.Struct(f"<q{BUCKETS}I")
_MOST: Final = 2**32 - 1

_LEASE_COLUMNS: Final = "subject, worker, messages, recipients, until, recalled"
TALLIES: Final = (
    "SELECT subject, counts, warned FROM quota WHERE subject IN (SELECT value FROM json_each(?))"
)
_PUT_TALLY: Final = upsert_one("quota", "subject, counts, warned, changed_at", "subject")
_PUT_LEASE: Final = upsert_one("quota_lease", _LEASE_COLUMNS, "subject, worker")
LEASES: Final = (
    "SELECT subject, worker, messages, recipients FROM quota_lease"
    " WHERE subject IN (SELECT value FROM json_each(?))"
)
_TAKE: Final = """
UPDATE quota_lease SET
    messages = CASE WHEN quota_lease.messages > j.messages
        THEN quota_lease.messages - j.messages ELSE 0 END,
    recipients = CASE WHEN quota_lease.recipients > j.recipients
        THEN quota_lease.recipients - j.recipients ELSE 0 END
FROM (SELECT value ->> 0 AS subject, value ->> 1 AS worker,
    CAST(value ->> 2 AS BIGINT) AS messages, CAST(value ->> 3 AS BIGINT) AS recipients
    FROM json_each(?)) AS j
WHERE quota_lease.subject = j.subject AND quota_lease.worker = j.worker
"""


class QuotaTable(Asks):
    """`QuotaReading`."""

    def tally(self, subject: Subject) -> Tally:
        """Return what a subject has sent."""
        row = self._row(TALLIES, (as_json([subject]),))
        return Tally(subject) if row is None else _tally_of(row)

    def quota_leases(self, subject: Subject) -> list[QuotaLease]:
        """Return what workers hold of a subject's limits."""
        sql = f"SELECT {_LEASE_COLUMNS} FROM quota_lease WHERE subject = ? ORDER BY worker"  # noqa: S608
        return [
            QuotaLease(Subject(row[0]), row[1], row[2], row[3], moment(row[4]), bool(row[5]))
            for row in self._rows(sql, (subject,))
        ]

    def recalled(self, worker: WorkerId) -> list[Subject]:
        """Return of which subjects this worker is asked to give back."""
        sql = "SELECT subject FROM quota_lease WHERE recalled = 1 AND worker = ?"
        return [row[0] for row in self._rows(sql, (worker,))]


class QuotaTableChanges(QuotaTable, Changes):
    """`QuotaChanges` but `spend`, which waits for the end of the batch."""

    def put_tally(self, tally: Tally, at: datetime) -> None:
        """Insert or replace."""
        self._run(_PUT_TALLY, tally_row(tally, microseconds(at)))

    def put_quota_lease(self, lease: QuotaLease) -> None:
        """Insert or replace; one that holds nothing is removed."""
        if lease.messages <= 0 and lease.recipients <= 0:
            sql = "DELETE FROM quota_lease WHERE subject = ? AND worker = ?"
            self._run(sql, (lease.subject, lease.worker))
            return
        row = (
            lease.subject,
            lease.worker,
            max(0, lease.messages),
            max(0, lease.recipients),
            microseconds(lease.until),
            int(lease.recalled),
        )
        self._run(_PUT_LEASE, row)

    def recall(self, subject: Subject, by: WorkerId) -> None:
        """Mark the leases of all other workers on a subject."""
        sql = "UPDATE quota_lease SET recalled = 1 WHERE subject = ? AND worker <> ?"
        self._run(sql, (subject, by))

    def free_quota_leases(self, worker_prefix: str) -> None:
        """Remove the leases of workers whose id begins so."""
        sql = "DELETE FROM quota_lease WHERE substr(worker, 1, ?) = ?"
        self._run(sql, (len(worker_prefix), worker_prefix))

    def forget_quotas(self, *, before: datetime) -> int:
        """Remove what changed last before then, a thousand tallies at most."""
        at = (microseconds(before),)
        self._run("DELETE FROM quota_lease WHERE until < ?", at)
        sql = (
            "DELETE FROM quota WHERE subject IN"
            " (SELECT subject FROM quota WHERE changed_at < ? LIMIT 1000)"
        )
        return self._change(sql, at)


class Execute(Protocol):
    """Runs a statement at once; its rows."""

    def __call__(self, sql: str, bindings: Sequence[Any], /) -> Iterable[Row]:
        """Return the rows of the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """The rows of some subjects, as TALLIES and LEASES ask for them."""

    tallies: Iterable[Row]
    leases: Iterable[Row]


def write_spendings(
    look: Callable[[list[Subject]], Standing],
    execute: Execute,
    spendings: Sequence[Spending],
) -> None:
    """Count what a batch of messages spent: a few statements, however many they are.

    `look` returns how subjects stand; nobody else may change that meanwhile.

    Raises:
        NotLeasedError: somebody has not what he spends.

    """
    by_subject: dict[Subject, list[Spending]] = {}
    taken: dict[tuple[Subject, WorkerId], list[int]] = {}
    for spending in spendings:
        by_subject.setdefault(spending.subject, []).append(spending)
        sums = taken.setdefault((spending.subject, spending.worker), [0, 0])
        sums[0] += spending.messages
        sums[1] += spending.recipients
    standing = look(sorted(by_subject))
    known = {row[0]: _tally_of(row) for row in standing.tallies}
    _refuse_what_is_not_leased(standing.leases, spendings)
    for subject, some in sorted(by_subject.items()):
        tally = _counted(known.get(subject, Tally(subject)), some)
        at = max(microseconds(spending.at) for spending in some)
        execute(_PUT_TALLY, tally_row(tally, at))
    execute(_TAKE, (as_json([(*key, *sums) for key, sums in sorted(taken.items())]),))


def _refuse_what_is_not_leased(leases: Iterable[Row], spendings: Sequence[Spending]) -> None:
    left = {(row[0], row[1]): [row[2], row[3]] for row in leases}
    for spending in spendings:
        drawn = (spending.drawn_messages, spending.drawn_recipients)
        if drawn == (0, 0):
            continue
        lease = left.get((spending.subject, spending.worker), [0, 0])
        for unit, count in enumerate(drawn):
            lease[unit] -= count
            if lease[unit] < 0:
                msg = f"{spending.worker} stood still, and its portion of a quota has ended"
                raise NotLeasedError(msg)


def _counted(tally: Tally, spendings: Sequence[Spending]) -> Tally:
    """Count messages of one second together: buckets are no finer."""
    by_second: dict[float, list[int]] = {}
    for spending in spendings:
        sums = by_second.setdefault(spending.at.timestamp() // 1, [0, 0])
        sums[0] += spending.messages
        sums[1] += spending.recipients
    for second, (messages, recipients) in by_second.items():
        tally = tally.plus(second, {Unit.MESSAGES: messages, Unit.RECIPIENTS: recipients})
    return tally


def tally_row(tally: Tally, at: int) -> Row:
    """Return the values of a tally's row; `at` in microseconds."""
    octets = b"".join(
        _WINDOW.pack(counted.newest, *_clamped(counted.counts)) for counted in tally.counts
    )
    return (tally.subject, octets, bytes(tally.warned), at)


def _clamped(counts: Sequence[int]) -> Sequence[int]:
    return counts if max(counts) <= _MOST else [min(count, _MOST) for count in counts]


def _tally_of(row: Row) -> Tally:
    counts = tuple(Sliding(newest, tuple(rest)) for newest, *rest in _WINDOW.iter_unpack(row[1]))
    return Tally(row[0], counts, tuple(row[2]))
