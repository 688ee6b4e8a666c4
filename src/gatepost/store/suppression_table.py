"""Suppressions in tables. `account` is '' for global ones, so that the key is one."""

from collections.abc import Iterable, Sequence
from typing import Final

from gatepost.model.ids import AccountName
from gatepost.model.suppression import LaterClass, Suppression, SuppressionClass
from gatepost.store.rows import Row, as_json, microseconds, moment
from gatepost.store.statements import Asks, Changes, upsert_one
from gatepost.store.suppressions import AccountRule, SuppressionFilter, SuppressionKey

_COLUMNS: Final = "subject, account, stream, class, since, reason"
_OF: Final = (
    f"SELECT {_COLUMNS} FROM suppression WHERE subject IN (SELECT value FROM json_each(?))"  # noqa: S608
    " AND account IN ('', ?) ORDER BY since, subject"
)
_VALUES: Final = (
    "SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, CAST(value ->> 4 AS BIGINT),"
    " value ->> 5"
    " FROM json_each(?) WHERE true"
)
_ADD: Final = (
    f"INSERT INTO suppression ({_COLUMNS}) {_VALUES} ON CONFLICT (subject, account, stream) DO"
)
_PUT_RULE: Final = upsert_one("account_rule", "account, drops, stream, links", "account")
_CLASSES: Final = {each.value: each for each in SuppressionClass}
_REPLACING: Final = (
    " UPDATE SET class = excluded.class, since = excluded.since, reason = excluded.reason"
)


class SuppressionTable(Asks):
    """`ReadsSuppressions`."""

    def suppressions_of(
        self, subjects: Sequence[str], account: AccountName | None
    ) -> list[Suppression]:
        """Return what suppresses any of these subjects for an account."""
        return list(map(_suppression_of, self._rows(_OF, (as_json(list(subjects)), account or ""))))

    def suppressions(
        self, which: SuppressionFilter, *, limit: int, after: SuppressionKey | None = None
    ) -> list[Suppression]:
        """Return matching ones by subject, account and stream."""
        conditions, bindings = ["true"], []
        if which.only_global or which.account is not None:
            conditions.append("account = ?")
            bindings.append("" if which.only_global else which.account)
        wanted = {
            "subject": which.subject,
            "class": None if which.kind is None else which.kind.value,
            "stream": which.stream,
        }
        for column, value in wanted.items():
            if value is not None:
                conditions.append(f"{column} = ?")
                bindings.append(value)
        if after is not None:
            conditions.append("(subject, account, stream) > (?, ?, ?)")
            bindings += (after.subject, after.account or "", after.stream)
        sql = (
            f"SELECT {_COLUMNS} FROM suppression WHERE {' AND '.join(conditions)}"  # noqa: S608
            " ORDER BY subject, account, stream LIMIT ?"
        )
        return list(map(_suppression_of, self._rows(sql, (*bindings, limit))))

    def suppressed_subjects(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Return subjects that were added behind a number."""
        sql = "SELECT number, subject FROM suppression WHERE number > ? ORDER BY number LIMIT ?"
        return [(row[0], row[1]) for row in self._rows(sql, (after, limit))]

    def account_rule(self, account: AccountName) -> AccountRule:
        """Return an account's rule."""
        sql = "SELECT * FROM account_rule WHERE account = ?"
        row = self._row(sql, (account,))
        return AccountRule(account) if row is None else _rule_of(row)

    def account_rules(self) -> list[AccountRule]:
        """Return the rules of all accounts that have one."""
        return list(map(_rule_of, self._rows("SELECT * FROM account_rule ORDER BY account")))


class SuppressionTableChanges(SuppressionTable, Changes):
    """`ChangesSuppressions`."""

    def add_suppressions(self, suppressions: Iterable[Suppression], *, replace: bool) -> int:
        """Add; what is there already stays unless `replace`."""
        rows = [
            (s.subject, s.account or "", s.stream, s.kind.value, microseconds(s.since), s.reason)
            for s in suppressions
        ]
        sql = _ADD + (_REPLACING if replace else " NOTHING")
        return self._change(sql, (as_json(rows),))

    def remove_suppression(self, key: SuppressionKey) -> bool:
        """Remove one."""
        sql = "DELETE FROM suppression WHERE subject = ? AND account = ? AND stream = ?"
        return self._change(sql, (key.subject, key.account or "", key.stream)) > 0

    def put_account_rule(self, rule: AccountRule) -> None:
        """Insert or replace."""
        self._run(_PUT_RULE, (rule.account, int(rule.drops), rule.stream, int(rule.links)))

    def forget_suppressions_of(self, account: AccountName) -> None:
        """Remove an account's suppressions and its rule."""
        self._run("DELETE FROM suppression WHERE account = ?", (account,))
        self._run("DELETE FROM account_rule WHERE account = ?", (account,))


def _suppression_of(row: Row) -> Suppression:
    subject, account, stream, kind, since, reason = row
    name = AccountName(account) if account else None
    known = _CLASSES.get(kind) or LaterClass(kind)
    return Suppression(subject, known, moment(since), name, stream, reason)


def _rule_of(row: Row) -> AccountRule:
    return AccountRule(AccountName(row[0]), bool(row[1]), row[2], bool(row[3]))
