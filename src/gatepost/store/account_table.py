"""Accounts and credentials in tables, and what the throttle of guessing knows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gatepost.model.account import Account, Credential
from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.account_protocols import Use
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.rows import (
    ACCOUNT_COLUMNS,
    CREDENTIAL_COLUMNS,
    GUESSING_COLUMNS,
    account_of,
    account_row,
    as_json,
    credential_of,
    credential_row,
    guessing_of,
    guessing_row,
    microseconds,
)
from gatepost.store.statements import Asks, Changes, upsert_one

_PUT_ACCOUNT: Final = upsert_one("account", ACCOUNT_COLUMNS, "name")
_PUT_CREDENTIAL: Final = upsert_one("credential", CREDENTIAL_COLUMNS, "id")
_PUT_GUESSED: Final = upsert_one("guessing", GUESSING_COLUMNS, "subject")
_USED: Final = """
UPDATE credential SET last_used_at = j.at, last_mechanism = j.mechanism, last_tls = j.tls
FROM (SELECT value ->> 0 AS id, CAST(value ->> 1 AS BIGINT) AS at, value ->> 2 AS mechanism,
    value ->> 3 AS tls FROM json_each(?)) AS j
WHERE credential.id = j.id AND coalesce(credential.last_used_at, 0) <= j.at
"""


class AccountTable(Asks):
    """`ReadsAccounts` and `ReadsGuesses`."""

    def account(self, name: AccountName) -> Account | None:
        """Return one account."""
        row = self._row(f"SELECT {ACCOUNT_COLUMNS} FROM account WHERE name = ?", (name,))  # noqa: S608
        return None if row is None else account_of(row)

    def accounts(self) -> list[Account]:
        """Return all accounts by name."""
        sql = f"SELECT {ACCOUNT_COLUMNS} FROM account ORDER BY name"  # noqa: S608
        return [account_of(row) for row in self._rows(sql)]

    def credentials(self, account: AccountName) -> list[Credential]:
        """Return an account's credentials, oldest first."""
        sql = (
            f"SELECT {CREDENTIAL_COLUMNS} FROM credential WHERE account = ? ORDER BY created_at, id"  # noqa: S608
        )
        return [credential_of(row) for row in self._rows(sql, (account,))]

    def certificates(self) -> list[Credential]:
        """Return all client certificates."""
        sql = (
            f"SELECT {CREDENTIAL_COLUMNS} FROM credential WHERE kind = 'certificate'"  # noqa: S608
            " ORDER BY created_at, id"
        )
        return [credential_of(row) for row in self._rows(sql)]

    def guessed(self, subject: str) -> Guessed | None:
        """Return what one subject of the throttle did."""
        row = self._row(f"SELECT {GUESSING_COLUMNS} FROM guessing WHERE subject = ?", (subject,))  # noqa: S608
        return None if row is None else guessing_of(row)

    def guesses(self, since: datetime) -> list[Guessed]:
        """Return the subjects of the throttle that changed since then."""
        sql = f"SELECT {GUESSING_COLUMNS} FROM guessing WHERE changed_at >= ? ORDER BY changed_at"  # noqa: S608
        return [guessing_of(row) for row in self._rows(sql, (microseconds(since),))]


class AccountTableChanges(AccountTable, Changes):
    """`ChangesAccounts`, but the removal of an account, and `ChangesGuesses`."""

    def put_account(self, account: Account) -> None:
        """Insert or replace."""
        self._run(_PUT_ACCOUNT, account_row(account))

    def put_credential(self, credential: Credential) -> None:
        """Insert or replace."""
        self._run(_PUT_CREDENTIAL, credential_row(credential))

    def remove_credential(self, credential_id: CredentialId) -> bool:
        """Remove one."""
        return self._change("DELETE FROM credential WHERE id = ?", (credential_id,)) > 0

    def note_uses(self, uses: Iterable[Use]) -> None:
        """Write each credential's last use."""
        rows = [(use.credential, microseconds(use.at), use.mechanism, use.tls) for use in uses]
        self._run(_USED, (as_json(rows),))

    def put_guessed(self, guessed: Iterable[Guessed]) -> None:
        """Insert or replace."""
        for each in guessed:
            self._run(_PUT_GUESSED, guessing_row(each))

    def forget_guessed(self, *, before: datetime) -> int:
        """Remove subjects that changed last before then, a thousand at most."""
        sql = (
            "DELETE FROM guessing WHERE subject IN"
            " (SELECT subject FROM guessing WHERE changed_at < ? LIMIT 1000)"
        )
        return self._change(sql, (microseconds(before),))
