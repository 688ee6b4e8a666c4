"""Keys of the HTTP API in tables."""

import json
from datetime import datetime
from typing import Final

from gatepost.model.api_key import ApiKey, Scope
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.store.rows import (
    NewerRowError,
    Row,
    known,
    limits_json,
    limits_of,
    microseconds,
    moment,
)
from gatepost.store.statements import Asks, Changes, upsert_one

_COLUMNS: Final = (
    "id, verifier, scopes, created_at, account, label, expires_at, last_used_at, limits"
)
_PUT: Final = upsert_one("api_key", _COLUMNS, "id")


class ApiKeyTable(Asks):
    """`ReadsApiKeys`."""

    def api_key(self, key_id: str) -> ApiKey | None:
        """Return one key. Raises NewerRowError."""
        sql = f"SELECT {_COLUMNS} FROM api_key WHERE id = ?"  # noqa: S608
        row = self._row(sql, (key_id,))
        return None if row is None else _key_of(row)

    def api_keys(self) -> list[ApiKey]:
        """Return all keys that can be read, oldest first; the others are said."""
        sql = f"SELECT {_COLUMNS} FROM api_key ORDER BY created_at, id"  # noqa: S608
        return known(self._rows(sql), _key_of)


class ApiKeyTableChanges(ApiKeyTable, Changes):
    """`ChangesApiKeys`."""

    def put_api_key(self, key: ApiKey) -> None:
        """Insert or replace."""
        row = (
            key.id,
            key.verifier.reveal(),
            json.dumps(key.scopes),
            microseconds(key.created_at),
            key.account,
            key.label,
            None if key.expires_at is None else microseconds(key.expires_at),
            None if key.last_used_at is None else microseconds(key.last_used_at),
            limits_json(key.limits),
        )
        self._run(_PUT, row)

    def remove_api_key(self, key_id: str) -> bool:
        """Remove one."""
        return self._change("DELETE FROM api_key WHERE id = ?", (key_id,)) > 0

    def note_api_key_use(self, key_id: str, at: datetime) -> None:
        """Write a key's last use."""
        self._run("UPDATE api_key SET last_used_at = ? WHERE id = ?", (microseconds(at), key_id))

    def forget_api_keys_of(self, account: AccountName) -> None:
        """Remove an account's keys."""
        self._run("DELETE FROM api_key WHERE account = ?", (account,))


def _key_of(row: Row) -> ApiKey:
    try:
        return ApiKey(
            id=row[0],
            verifier=Secret(row[1]),
            scopes=tuple(map(Scope, json.loads(row[2]))),
            created_at=moment(row[3]),
            account=None if row[4] is None else AccountName(row[4]),
            label=row[5],
            expires_at=None if row[6] is None else moment(row[6]),
            last_used_at=None if row[7] is None else moment(row[7]),
            limits=limits_of(row[8]),
        )
    except (TypeError, ValueError) as unknown:
        msg = f"only a newer Gatepost can use this API key ({unknown})"
        raise NewerRowError(msg) from unknown
