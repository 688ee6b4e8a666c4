"""An SQL database as a directory: it gives a hash, and the password is checked here.

Columns by their names, all but the first may be missing: `password` (any hash that
`legacy.read_hash` knows), `senders` (grants, apart by spaces or commas; further rows may bring
more), `state` ("active" or "suspended", or a truth value), `lane`, `hourly`, `daily`, `scram` (a SCRAM-SHA-256 verifier as
PostgreSQL keeps it: "SCRAM-SHA-256$COUNT:SALT$STORED:SERVER").
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gatepost.identity.directory import Entry
from gatepost.identity.foreign import Asker, Breaker, Heard
from gatepost.identity.foreign_account import (
    account_of,
    entry_of,
    names_of,
    own_address,
    with_policy,
)
from gatepost.identity.legacy import read_hash
from gatepost.identity.passwords import PasswordChecker
from gatepost.model.account import Account
from gatepost.model.grant import parse_grant
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.model.wrong import WrongValueError
from gatepost.net.sql import Row, SqlAwayError, SqlError

#: Asks the database about a name's parts.
Rows = Callable[[Mapping[str, str]], Awaitable[Sequence[Row]]]

_SCRAM: Final = re.compile(
    r"SCRAM-SHA-256\$(\d{1,7}):([A-Za-z0-9+/=]{4,88})\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})",
    re.ASCII,
)
_ACTIVE: Final = {"active", "1", "t", "true", "y", "yes", "enabled"}
_SUSPENDED: Final = {"suspended", "0", "f", "false", "n", "no", "disabled", "locked"}


class _UnusableError(Exception):
    """The database says something that one cannot go by; says what, never a hash."""


@dataclass(frozen=True, slots=True)
class SqlSource:
    """How to ask: the rows of a name, and how to let go of connections."""

    rows: Rows
    close: Callable[[], Awaitable[None]]
    has_keys: bool = False


class SqlDirectory:
    """One database with one question."""

    can_look_up = True

    def __init__(
        self, label: str, source: SqlSource, checker: PasswordChecker, *, at_once: int
    ) -> None:
        self.label = label
        self.has_keys = source.has_keys
        self._source = source
        self._checker = checker
        self._breaker = Breaker(label, at_once)

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account as it is now, with its hash."""
        return await self._find(name, Asker())

    async def check(self, name: AccountName, password: str, asker: Asker) -> Heard:
        """Try a password."""
        entry = await self._find(name, asker)
        if entry is None:
            return Heard(None)
        (credential,) = entry.credentials
        if not credential.verifier.reveal():
            return Heard(entry, False, "it has no password")
        try:
            right = await self._checker.verify(
                credential.verifier, password, client=asker.client, outdated=asker.outdated
            )
        except ValueError as problem:
            raise self._breaker.unclear(problem) from None
        return Heard(entry, right)

    async def close(self) -> None:
        """Let go of connections."""
        await self._source.close()

    async def _find(self, name: AccountName, asker: Asker) -> Entry | None:
        self._breaker.look()
        async with self._breaker.turns.turn(asker.client, asker.outdated):
            self._breaker.look()
            try:
                rows = await self._source.rows(names_of(name))
            except SqlAwayError as problem:
                raise self._breaker.broken(problem) from None
            except SqlError as problem:
                raise self._breaker.unclear(problem) from None
        try:
            return read_rows(self.label, name, rows)
        except _UnusableError as problem:
            raise self._breaker.unclear(problem) from None


def read_rows(label: str, name: AccountName, rows: Sequence[Row]) -> Entry | None:
    """Return the account that rows tell of; None for no rows.

    Raises:
        _UnusableError: they are not about one account, or hold what is not understood.

    """
    if not rows:
        return None
    first = rows[0]
    if "password" not in first:
        msg = 'its query returns no column "password"'
        raise _UnusableError(msg)
    if any(row.get("password") != first["password"] for row in rows):
        msg = "more than one account fits one name: make the query stricter"
        raise _UnusableError(msg)
    given = [grant for row in rows for grant in _grants(row.get("senders"))]
    account = account_of(
        name, given or own_address(name), suspended=_is_suspended(first.get("state"))
    )
    try:
        account = with_policy(account, first)
    except ValueError as problem:
        raise _UnusableError(f"column {problem}") from None
    verifier = _verifier(first["password"])
    account, scram = _with_keys(account, first.get("scram"))
    return entry_of(label, account, verifier=verifier, scram=scram)


def _grants(value: object) -> list[str]:
    if value is None:
        return []
    parts = value if isinstance(value, list | tuple) else re.split(r"[\s,]+", str(value))
    try:
        return [parse_grant(str(part)) for part in parts if str(part).strip()]
    except WrongValueError as problem:
        raise _UnusableError(f'column "senders": {problem.wrongs[0].what}') from None


def _is_suspended(value: object) -> bool:
    text = str(value).strip().lower()
    if value is None or text in _ACTIVE or text == "":
        return False
    if text in _SUSPENDED:
        return True
    raise _UnusableError(f'column "state": "{text[:40]}" is neither "active" nor "suspended"')


def _verifier(value: Any) -> Secret:  # noqa: ANN401 - whatever a database has
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or not str(value).strip():
        return Secret("")
    try:
        return read_hash(str(value))
    except ValueError as problem:
        raise _UnusableError(f'column "password": {problem}') from None


def _with_keys(account: Account, value: object) -> tuple[Account, Secret | None]:
    """Return the account with salt and count, and its keys as `identity.scram` keeps them."""
    if value is None or value == "":
        return account, None
    found = _SCRAM.fullmatch(str(value))
    try:
        salt = base64.b64decode(found[2], validate=True) if found else b""
    except (ValueError, binascii.Error):
        salt = b""
    if found is None or not salt or not int(found[1]):
        msg = 'column "scram" holds no verifier such as "SCRAM-SHA-256$4096:SALT$STORED:SERVER"'
        raise _UnusableError(msg)
    keys = Secret(f"SHA-256:{found[3]}:{found[4]}")
    return replace(account, salt=salt, iterations=int(found[1])), keys
