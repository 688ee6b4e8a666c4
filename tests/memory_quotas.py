"""Quotas and histories of a store in memory: what `store.quota_protocols` and
`store.history_protocols` promise.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gatepost.model.history import History
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.quota import Subject, Tally, Unit
from gatepost.store.protocols import NotLeasedError
from gatepost.store.quota_protocols import QuotaLease, Spending
from tests.memory_api_keys import MemoryApiKeys


class MemoryHistories:
    """`HistoryReading` and `HistoryChanges`."""

    @property
    def history_rows(self) -> dict[CredentialId, tuple[History, datetime]]:
        return self.__dict__.setdefault("_histories", {})

    def history(self, credential: CredentialId) -> History | None:
        found = self.history_rows.get(credential)
        return found[0] if found else None

    def held_histories(self, account: AccountName) -> list[History]:
        rows = [row for _, (row, _) in sorted(self.history_rows.items())]
        return [row for row in rows if row.account == account and row.hold]

    def put_history(self, history: History, at: datetime) -> None:
        self.history_rows[history.credential] = (history, at)

    def forget_histories(self, *, before: datetime) -> int:
        rows = self.history_rows.items()
        old = [key for key, (row, at) in rows if at < before and not row.hold]
        for key in old:
            del self.history_rows[key]
        return len(old)


class MemoryQuotas(MemoryHistories, MemoryApiKeys):
    """Mixed into a transaction; the tables come into being when they are asked for."""

    @property
    def tally_rows(self) -> dict[Subject, tuple[Tally, datetime]]:
        return self.__dict__.setdefault("_tallies", {})

    @property
    def quota_lease_rows(self) -> dict[tuple[Subject, WorkerId], QuotaLease]:
        return self.__dict__.setdefault("_quota_leases", {})

    def tally(self, subject: Subject) -> Tally:
        found = self.tally_rows.get(subject)
        return found[0] if found else Tally(subject)

    def quota_leases(self, subject: Subject) -> list[QuotaLease]:
        return [row for key, row in sorted(self.quota_lease_rows.items()) if key[0] == subject]

    def recalled(self, worker: WorkerId) -> list[Subject]:
        rows = self.quota_lease_rows.values()
        return [row.subject for row in rows if row.worker == worker and row.recalled]

    def put_tally(self, tally: Tally, at: datetime) -> None:
        self.tally_rows[tally.subject] = (tally, at)

    def put_quota_lease(self, lease: QuotaLease) -> None:
        messages, recipients = max(0, lease.messages), max(0, lease.recipients)
        if messages or recipients:
            row = replace(lease, messages=messages, recipients=recipients)
            self.quota_lease_rows[lease.subject, lease.worker] = row
        else:
            self.quota_lease_rows.pop((lease.subject, lease.worker), None)

    def recall(self, subject: Subject, by: WorkerId) -> None:
        for key, row in self.quota_lease_rows.items():
            if key[0] == subject and key[1] != by:
                self.quota_lease_rows[key] = replace(row, recalled=True)

    def spend(self, spendings: Iterable[Spending]) -> None:
        spendings = list(spendings)
        for one in spendings:
            row = self.quota_lease_rows.get((one.subject, one.worker))
            held = (row.messages, row.recipients) if row else (0, 0)
            if held[0] < one.drawn_messages or held[1] < one.drawn_recipients:
                raise NotLeasedError(one.subject)
        for spending in spendings:
            sent = {Unit.MESSAGES: spending.messages, Unit.RECIPIENTS: spending.recipients}
            at = spending.at.timestamp() // 1
            self.put_tally(self.tally(spending.subject).plus(at, sent), spending.at)
            key = (spending.subject, spending.worker)
            if row := self.quota_lease_rows.get(key):
                self.quota_lease_rows[key] = replace(
                    row,
                    messages=max(0, row.messages - spending.messages),
                    recipients=max(0, row.recipients - spending.recipients),
                )

    def free_quota_leases(self, worker_prefix: str) -> None:
        for key in list(self.quota_lease_rows):
            if key[1].startswith(worker_prefix):
                del self.quota_lease_rows[key]

    def forget_quotas(self, *, before: datetime) -> int:
        for key, row in list(self.quota_lease_rows.items()):
            if row.until < before:
                del self.quota_lease_rows[key]
        old = [subject for subject, row in self.tally_rows.items() if row[1] < before]
        for subject in old:
            del self.tally_rows[subject]
        return len(old)
