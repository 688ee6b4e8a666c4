"""Idempotency keys in tables."""

from datetime import datetime
from typing import Final

from gatepost.model.ids import AccountName
from gatepost.store.kept_keys import KeptKey
from gatepost.store.rows import microseconds, moment
from gatepost.store.statements import Asks, Changes, upsert_one

_COLUMNS: Final = "account, key, digest, submission_id, at"
_PUT: Final = upsert_one("kept_key", _COLUMNS, "account, key")
#: With each new key some old ones go, so that the table stays as large as what it must hold.
_FORGET: Final = (
    "DELETE FROM kept_key WHERE (account, key) IN"
    " (SELECT account, key FROM kept_key WHERE at < ? LIMIT 4)"
)


class KeptKeyTable(Asks):
    """`ReadsKeptKeys`."""

    def kept_key(self, account: AccountName, key: str) -> KeptKey | None:
        """Return what an account's key stands for."""
        sql = f"SELECT {_COLUMNS} FROM kept_key WHERE account = ? AND key = ?"  # noqa: S608
        row = self._row(sql, (account, key))
        if row is None:
            return None
        return KeptKey(AccountName(row[0]), row[1], row[2], row[3], moment(row[4]))


class KeptKeyTableChanges(KeptKeyTable, Changes):
    """`ChangesKeptKeys`."""

    def keep_key(self, kept: KeptKey, *, forget_before: datetime) -> None:
        """Insert or replace; forget some old ones."""
        row = (kept.account, kept.key, kept.digest, kept.submission_id, microseconds(kept.at))
        self._run(_PUT, row)
        self._run(_FORGET, (microseconds(forget_before),))
