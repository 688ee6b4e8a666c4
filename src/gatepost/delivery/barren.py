"""Sessions of one site, one after the other, that end with their first transaction before it has taken
anything: the host has no service for us (421, RFC 5321 §3.8), whatever is said to it. Pure.
"""

from collections.abc import Collection
from typing import Final

#: One message alone may make a host hang up; no three in a row.
_MANY: Final = 3


class Barren:
    """Those that came last, by the account whose mail each was for."""

    __slots__ = ("_accounts",)

    def __init__(self) -> None:
        self._accounts: list[str] = []

    def note(self, account: str, waiting: Collection[str]) -> bool:
        """Take note of one more; tell whether to stop calling for what waits, mail of `waiting`. While
        only mail of one account was said, others' has its turn before.
        """
        self._accounts.append(account)
        del self._accounts[:-_MANY]
        whose = set(self._accounts)
        return len(self._accounts) == _MANY and (len(whose) > 1 or whose.issuperset(waiting))

    def clear(self) -> None:
        """Take note of a session that took something, or stood."""
        self._accounts.clear()
