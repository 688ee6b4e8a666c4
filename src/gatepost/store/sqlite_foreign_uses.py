"""Rows of logins by somebody else's word, in SQLite's words."""

from collections.abc import Iterable
from typing import Final

import apsw

from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.sqlite_rows import Row, microseconds, moment, upsert_one

FOREIGN_USES: Final = (
    "SELECT account, proof, at, mechanism, tls FROM foreign_use WHERE account = ? ORDER BY proof"
)

_PUT: Final = upsert_one("foreign_use", "account, proof, at, mechanism, tls", "account, proof")


def foreign_use_of(row: Row) -> ForeignUse:
    """Return what a row says."""
    account, proof, at, mechanism, tls = row
    return ForeignUse(AccountName(account), CredentialId(proof), moment(at), mechanism, tls)


def note_foreign_uses(connection: apsw.Connection, uses: Iterable[ForeignUse]) -> None:
    """Insert or replace."""
    connection.executemany(
        _PUT,
        [(u.account, u.proof, microseconds(u.at), u.mechanism, u.tls) for u in uses],
    )


def forget_foreign_uses(connection: apsw.Connection, account: AccountName) -> None:
    """Remove those of one account."""
    connection.execute("DELETE FROM foreign_use WHERE account = ?", (account,))
