"""Histories of credentials in tables: one row each, holds found by an index of their own."""

import json
from datetime import datetime
from typing import Final

from gatepost.model.history import Busiest, Gone, History, Hold
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.quota import Sliding
from gatepost.store.rows import Row, as_json, microseconds, moment
from gatepost.store.statements import Asks, Changes, upsert_one

_COLUMNS: Final = "credential, account, first_at, counts, held_at, held_because"
_ONE: Final = f"SELECT {_COLUMNS} FROM history WHERE credential = ?"  # noqa: S608
_HELD: Final = (
    f"SELECT {_COLUMNS} FROM history WHERE account = ? AND held_at IS NOT NULL"  # noqa: S608
    " ORDER BY credential"
)
_PUT: Final = upsert_one("history", f"{_COLUMNS}, changed_at", "credential")
_FORGET: Final = (
    "DELETE FROM history WHERE credential IN (SELECT credential FROM history"
    " WHERE changed_at < ? AND held_at IS NULL LIMIT 1000)"
)


class HistoryTable(Asks):
    """`HistoryReading`."""

    def history(self, credential: CredentialId) -> History | None:
        """Return one credential's history."""
        row = self._row(_ONE, (credential,))
        return None if row is None else _history_of(row)

    def held_histories(self, account: AccountName) -> list[History]:
        """Return the histories of an account's credentials that are held."""
        return [_history_of(row) for row in self._rows(_HELD, (account,))]


class HistoryTableChanges(HistoryTable, Changes):
    """`HistoryChanges`."""

    def put_history(self, history: History, at: datetime) -> None:
        """Insert or replace."""
        hold = history.hold
        row = (
            history.credential,
            history.account,
            microseconds(history.first_at),
            _counts_json(history),
            microseconds(hold.at) if hold else None,
            hold.because if hold else "",
            microseconds(at),
        )
        self._run(_PUT, row)

    def forget_histories(self, *, before: datetime) -> int:
        """Remove what changed last before then, a thousand at most."""
        return self._change(_FORGET, (microseconds(before),))


def _counts_json(history: History) -> str:
    slidings = (history.recipients, history.ended, history.refused, history.strange)
    return as_json(
        {
            "hour": [(counted.newest, counted.counts) for counted in slidings],
            "days": [(each.day, each.recipients, each.networks) for each in history.days],
            "networks": dict(history.networks),
            "gone": {whose: (each.since, each.count) for whose, each in history.gone.items()},
        }
    )


def _history_of(row: Row) -> History:
    counts = json.loads(row[3])
    recipients, ended, refused, strange = (
        Sliding(newest, tuple(each)) for newest, each in counts["hour"]
    )
    return History(
        row[0],
        row[1],
        moment(row[2]),
        recipients,
        ended,
        refused,
        strange,
        tuple(Busiest(*each) for each in counts["days"]),
        counts["networks"],
        None if row[4] is None else Hold(moment(row[4]), row[5]),
        {whose: Gone(*each) for whose, each in counts.get("gone", {}).items()},
    )
