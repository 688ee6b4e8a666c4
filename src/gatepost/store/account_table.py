"""Accounts and credentials in tables, and what the throttle of guessing knows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gatepost.model.account import Account, Credential
from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.account_protocols import (
    KeptCredentials,
    UnreadAccount,
    UnreadCredential,
    Use,
)
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.rows import (
    ACCOUNT_COLUMNS,
    CREDENTIAL_COLUMNS,
    GUESSING_COLUMNS,
    NewerRowError,
    Row,
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
_ALL_ACCOUNTS: Final = f"SELECT {ACCOUNT_COLUMNS} FROM account ORDER BY name"  # noqa: S608
_ALL_CREDENTIALS: Final = (
    f"SELECT {CREDENTIAL_COLUMNS} FROM credential ORDER BY account, created_at, id"  # noqa: S608
)
_CERTIFICATES: Final = (
    f"SELECT {CREDENTIAL_COLUMNS} FROM credential WHERE kind = 'certificate'"  # noqa: S608
    " ORDER BY created_at, id"
)
#: One whose app passwords alone log in has a main password for nothing.
_KEYLESS: Final = """
SELECT DISTINCT c.account FROM credential AS c JOIN account AS a ON a.name = c.account
WHERE c.scram IS NULL AND c.kind <> 'certificate' AND (c.kind <> 'password' OR a.app_passwords_only = 0)
ORDER BY c.account
"""
_USED: Final = """
UPDATE credential SET last_used_at = j.at, last_mechanism = j.mechanism, last_tls = j.tls
FROM (SELECT value ->> 0 AS id, CAST(value ->> 1 AS BIGINT) AS at, value ->> 2 AS mechanism,
    value ->> 3 AS tls FROM json_each(?)) AS j
WHERE credential.id = j.id AND coalesce(credential.last_used_at, 0) <= j.at
"""


class AccountTable(Asks):
    """`ReadsAccounts` and `ReadsGuesses`."""

    def account(self, name: AccountName) -> Account | None:
        """Return one account. Raises NewerRowError."""
        row = self._row(f"SELECT {ACCOUNT_COLUMNS} FROM account WHERE name = ?", (name,))  # noqa: S608
        try:
            return None if row is None else account_of(row)
        except NewerRowError as why:
            raise NewerRowError(f"account {name}: {why}") from why

    def accounts(self) -> list[Account]:
        """Return all accounts by name that can be read."""
        return [each for each in self._all_accounts() if isinstance(each, Account)]

    def unread_accounts(self) -> list[UnreadAccount]:
        """Return the others by name."""
        return [each for each in self._all_accounts() if isinstance(each, UnreadAccount)]

    def _all_accounts(self) -> Iterable[Account | UnreadAccount]:
        return map(_account_or_why, self._rows(_ALL_ACCOUNTS))

    def kept_credentials(self, account: AccountName) -> KeptCredentials:
        """Return an account's credentials, oldest first."""
        sql = (
            f"SELECT {CREDENTIAL_COLUMNS} FROM credential WHERE account = ? ORDER BY created_at, id"  # noqa: S608
        )
        return _kept(self._rows(sql, (account,)))

    def credentials(self, account: AccountName) -> list[Credential]:
        """Return those that can be read."""
        return list(self.kept_credentials(account).known)

    def unread_credentials(self) -> list[UnreadCredential]:
        """Return those of all accounts that cannot be read."""
        return list(_kept(self._rows(_ALL_CREDENTIALS)).unread)

    def keyless_accounts(self) -> list[AccountName]:
        """Return the accounts with a password that has no SCRAM keys."""
        return [AccountName(row[0]) for row in self._rows(_KEYLESS)]

    def certificates(self) -> list[Credential]:
        """Return all client certificates that can be read."""
        return list(_kept(self._rows(_CERTIFICATES)).known)

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

    def note_exposed(self, credential_id: CredentialId, at: datetime) -> bool:
        """Note that a credential's secret came in clear."""
        sql = "UPDATE credential SET exposed_at = ? WHERE id = ? AND exposed_at IS NULL"
        return self._change(sql, (microseconds(at), credential_id)) > 0

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


def _account_or_why(row: Row) -> Account | UnreadAccount:
    try:
        return account_of(row)
    except NewerRowError as why:
        return UnreadAccount(row[0], str(row[3]), str(why))


def _kept(rows: Iterable[Row]) -> KeptCredentials:
    known: list[Credential] = []
    unread: list[UnreadCredential] = []
    for row in rows:
        try:
            known.append(credential_of(row))
        except NewerRowError as why:
            unread.append(UnreadCredential(row[0], row[1], str(row[2]), str(row[5]), str(why)))
    return KeptCredentials(tuple(known), tuple(unread))
