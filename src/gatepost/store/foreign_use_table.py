"""Rows of logins by somebody else's word, in tables."""

from collections.abc import Iterable
from typing import Final

from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.rows import Row, microseconds, moment
from gatepost.store.statements import Asks, Changes, upsert_one

_COLUMNS: Final = "account, proof, at, mechanism, tls"
_OF_ONE: Final = f"SELECT {_COLUMNS} FROM foreign_use WHERE account = ? ORDER BY proof"  # noqa: S608
_PUT: Final = upsert_one("foreign_use", _COLUMNS, "account, proof")


class ForeignUseTable(Asks):
    """`ReadsForeignUses`."""

    def foreign_uses(self, account: AccountName) -> list[ForeignUse]:
        """Return the last use of each proof of an account's name."""
        return [_use_of(row) for row in self._rows(_OF_ONE, (account,))]


class ForeignUseTableChanges(ForeignUseTable, Changes):
    """`NotesForeignUses`."""

    def note_foreign_uses(self, uses: Iterable[ForeignUse]) -> None:
        """Write the last use of each account and proof."""
        for use in sorted(uses, key=lambda each: (each.account, each.proof)):
            row = (use.account, use.proof, microseconds(use.at), use.mechanism, use.tls)
            self._run(_PUT, row)

    def forget_foreign_uses(self, account: AccountName) -> None:
        """Remove those of one account."""
        self._run("DELETE FROM foreign_use WHERE account = ?", (account,))


def _use_of(row: Row) -> ForeignUse:
    """Return what a row says."""
    account, proof, at, mechanism, tls = row
    return ForeignUse(AccountName(account), CredentialId(proof), moment(at), mechanism, tls)
