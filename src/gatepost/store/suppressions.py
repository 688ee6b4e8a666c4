"""Suppressions, and what accounts want of them: what every store promises."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gatepost.model.ids import AccountName
from gatepost.model.suppression import Suppression, SuppressionClass


@dataclass(frozen=True, slots=True)
class SuppressionKey:
    """Names one suppression."""

    subject: str
    account: AccountName | None = None
    stream: str = ""


@dataclass(frozen=True, slots=True)
class SuppressionFilter:
    """Which suppressions are meant; None does not restrict. `only_global`: those of no account."""

    subject: str | None = None
    account: AccountName | None = None
    kind: SuppressionClass | None = None
    stream: str | None = None
    only_global: bool = False


@dataclass(frozen=True, slots=True)
class AccountRule:
    """How an account's mail to suppressed recipients is met, and to which stream its mail belongs.

    `drops`: it is accepted and dropped, where else it is refused. `stream` "": to none.
    `links`: its mail gets a link by which one unsubscribes from the stream.
    """

    account: AccountName
    drops: bool = False
    stream: str = ""
    links: bool = False


class ReadsSuppressions(Protocol):
    """The reading half."""

    def suppressions_of(
        self, subjects: Sequence[str], account: AccountName | None
    ) -> list[Suppression]:
        """Return what suppresses any of these subjects for an account: its own and the global
        ones, of all streams, oldest first."""
        ...

    def suppressions(
        self, which: SuppressionFilter, *, limit: int, after: SuppressionKey | None = None
    ) -> list[Suppression]:
        """Return matching ones by subject, account and stream. `after` pages on."""
        ...

    def suppressed_subjects(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Return subjects that were added behind the number `after`, each with its number. Numbers
        rise with every addition in this store."""
        ...

    def account_rule(self, account: AccountName) -> AccountRule:
        """Return an account's rule; the default where it has none."""
        ...

    def account_rules(self) -> list[AccountRule]:
        """Return the rules of all accounts that have one."""
        ...


class ChangesSuppressions(Protocol):
    """The changing half."""

    def add_suppressions(self, suppressions: Iterable[Suppression], *, replace: bool) -> int:
        """Add; one that is there already stays as it is unless `replace`. Return how many are
        new or were replaced."""
        ...

    def remove_suppression(self, key: SuppressionKey) -> bool:
        """Remove one; False when it was not there."""
        ...

    def put_account_rule(self, rule: AccountRule) -> None:
        """Insert or replace."""
        ...

    def forget_suppressions_of(self, account: AccountName) -> None:
        """Remove an account's suppressions and its rule."""
        ...
