"""Idempotency keys in SQLite's words."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from gatepost.model.ids import AccountName
from gatepost.store.kept_keys import KeptKey
from gatepost.store.sqlite_rows import Row, microseconds, moment, upsert_one

_COLUMNS: Final = "account, key, digest, submission_id, at"
_PUT: Final = upsert_one("kept_key", _COLUMNS, "account, key")
#: With each new key some old ones go, so that the table stays as large as what it must hold.
_FORGET: Final = (
    "DELETE FROM kept_key WHERE rowid IN (SELECT rowid FROM kept_key WHERE at < ? LIMIT 4)"
)


class SqliteKeptKeyReading:
    """`ReadsKeptKeys`; what it is mixed into has the connection."""

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        raise NotImplementedError

    def kept_key(self, account: AccountName, key: str) -> KeptKey | None:
        """Return what an account's key stands for."""
        sql = f"SELECT {_COLUMNS} FROM kept_key WHERE account = ? AND key = ?"  # noqa: S608
        row = next(self._rows(sql, (account, key)), None)
        if row is None:
            return None
        return KeptKey(AccountName(row[0]), row[1], row[2], row[3], moment(row[4]))


class SqliteKeptKeyChanges(SqliteKeptKeyReading):
    """`ChangesKeptKeys`."""

    def keep_key(self, kept: KeptKey, *, forget_before: datetime) -> None:
        """Insert or replace; forget some old ones."""
        row = (kept.account, kept.key, kept.digest, kept.submission_id, microseconds(kept.at))
        self._rows(_PUT, row)
        self._rows(_FORGET, (microseconds(forget_before),))
