"""Add, remove, list and import suppressions; say what an account wants of them.

Each verb writes its event in the transaction that changes the list. A running server obeys within
1 s (decision 5).
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.ids import AccountName
from gatepost.model.suppression import (
    LONGEST_REASON,
    Suppression,
    SuppressionClass,
)
from gatepost.model.suppression_subject import is_stream_name, parse_subject
from gatepost.operate.accounts import AccountError, By, account_name, changed, existing
from gatepost.returns.suppression import added, facts
from gatepost.store.protocols import Store, Transaction
from gatepost.store.suppressions import AccountRule, SuppressionFilter, SuppressionKey

#: Rows of an import in one transaction: longer ones would hold up the server's own commits.
_AT_ONCE: Final = 2_000
#: Faulty lines of an import that are told.
_MOST_TOLD: Final = 20


class BadSuppressionError(AccountError):
    """The address, the stream or the class cannot be one."""


class NoSuchSuppressionError(AccountError):
    """There is no such suppression."""


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom an address is suppressed: an account (None: all), and one of its streams."""

    account: str | None = None
    stream: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """What sort of suppression it is, in which words."""

    kind: SuppressionClass = SuppressionClass.MANUAL
    reason: str = ""


@dataclass(slots=True)
class Imported:
    """How an import went: rows read, added or replaced, and faulty ones (the first of them)."""

    read: int = 0
    added: int = 0
    faulty: int = 0
    faults: list[str] = field(default_factory=list)

    def refuse(self, line: int, words: str) -> None:
        """Note a line that names nothing."""
        self.faulty += 1
        if len(self.faults) < _MOST_TOLD:
            self.faults.append(f"line {line}: {words}")


async def add(store: Store, what: str, why: Why, scope: Scope, *, by: By) -> Suppression:
    """Suppress an address or a domain, and return how; one that is there is replaced.

    Raises:
        BadSuppressionError, NoSuchAccountError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    suppression = Suppression(
        _subject(what),
        why.kind,
        by.now,
        _account(scope),
        _stream(scope.stream),
        why.reason[:LONGEST_REASON],
    )

    def job(transaction: Transaction) -> None:
        _must_exist(transaction, suppression.account)
        transaction.add_suppressions((suppression,), replace=True)
        transaction.add_events([added(suppression, by.now, by.operator)])

    await store.write(job)
    return suppression


async def remove(store: Store, what: str, scope: Scope, *, by: By) -> Suppression:
    """Send to an address or a domain again; return what was removed.

    Raises:
        BadSuppressionError, NoSuchSuppressionError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    key = SuppressionKey(_subject(what), _account(scope), _stream(scope.stream))

    def job(transaction: Transaction) -> Suppression:
        found = transaction.suppressions_of((key.subject,), key.account)
        gone = next((s for s in found if (s.account, s.stream) == (key.account, key.stream)), None)
        if gone is None:
            others = transaction.suppressions(SuppressionFilter(subject=key.subject), limit=3)
            raise NoSuchSuppressionError(
                f"{key.subject} is not suppressed {_scope_words(key.account, key.stream)}",
                "it is suppressed "
                + " and ".join(_scope_words(s.account, s.stream) for s in others)
                if others
                else 'see "gatepost suppression list"',
            )
        transaction.remove_suppression(key)
        transaction.add_events(
            [
                Event(
                    EventKind.SUPPRESSION_REMOVED,
                    by.now,
                    account=key.account,
                    facts=facts(replace(gone, reason=""), by.operator),
                )
            ]
        )
        return gone

    return await store.write(job)


async def listing(
    store: Store,
    which: SuppressionFilter,
    *,
    limit: int,
    after: SuppressionKey | None = None,
) -> list[Suppression]:
    """Return suppressions by subject.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: reading.suppressions(which, limit=limit, after=after))


def filter_of(
    what: str | None = None, scope: Scope = Scope(), kind: SuppressionClass | None = None
) -> SuppressionFilter:
    """Return a filter from an operator's words. Raises BadSuppressionError."""
    return SuppressionFilter(
        subject=None if what is None else _subject(what),
        account=_account(scope),
        kind=kind,
        stream=_stream(scope.stream) or None,
    )


async def import_lines(
    store: Store,
    lines: Iterable[str],
    why: Why,
    scope: Scope,
    *,
    by: By,
    progress: Callable[[Imported], None] = lambda _: None,
) -> Imported:
    """Suppress what lines of CSV name: address or domain, and if given class, date, reason.

    Faulty lines are counted and skipped. What is there already stays as it is. A first line that
    begins with "address", "email" or "recipient" is a heading.

    Raises:
        BadSuppressionError, NoSuchAccountError: nothing was written.
        StoreUnavailableError: only the rows that `progress` last told were written.

    """
    account, stream = _account(scope), _stream(scope.stream)
    given = Suppression("", why.kind, by.now, account, stream, why.reason[:LONGEST_REASON])
    done = Imported()
    await store.write(lambda transaction: _must_exist(transaction, account))
    rows = _parse(lines, given, done)
    while some := list(islice(rows, _AT_ONCE)):
        done.added += await store.write(_adding(some))
        progress(done)
    told: dict[str, Fact] = {"count": done.added, "class": why.kind.value, "by": by.operator}
    event = Event(EventKind.SUPPRESSION_IMPORTED, by.now, account=account, facts=told)
    await store.write(lambda transaction: transaction.add_events([event]))
    return done


async def change_rule(
    store: Store,
    name: str,
    *,
    drops: bool | None = None,
    stream: str | None = None,
    links: bool | None = None,
    by: By,
) -> AccountRule:
    """Change how an account's mail to suppressed recipients is met, its stream, or whether it gets
    links to unsubscribe from that; None leaves it.

    Raises:
        NoSuchAccountError, BadSuppressionError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    wanted = None if stream is None else _stream(stream)

    def job(transaction: Transaction) -> AccountRule:
        account = existing(transaction, name)
        rule = transaction.account_rule(account.name)
        fresh = AccountRule(
            account.name,
            rule.drops if drops is None else drops,
            rule.stream if wanted is None else wanted,
            rule.links if links is None else links,
        )
        if fresh.links and not fresh.stream:
            msg = "without a stream there is nothing to unsubscribe from"
            raise BadSuppressionError(msg, 'add --stream NAME, or write "--no-links"')
        if fresh != rule:
            transaction.put_account_rule(fresh)
            words = "dropped" if fresh.drops else "refused"
            change = f"suppressed recipients are {words}; stream: {fresh.stream or 'none'}"
            change += ", with links to unsubscribe" if fresh.links else ""
            transaction.add_events([changed(account, by, change)])
        return fresh

    return await store.write(job)


def suppression_json(suppression: Suppression) -> dict[str, Any]:
    """Return it as plain values."""
    return {
        "subject": suppression.subject,
        "class": suppression.kind.value,
        "account": suppression.account,
        "stream": suppression.stream or None,
        "since": time_text(suppression.since),
        "reason": suppression.reason,
    }


def _adding(some: list[Suppression]) -> Callable[[Transaction], int]:
    return lambda transaction: transaction.add_suppressions(some, replace=False)


def _parse(lines: Iterable[str], given: Suppression, done: Imported) -> Iterator[Suppression]:
    for number, row in enumerate(csv.reader(_limited(lines)), 1):
        cells = [cell.strip() for cell in row]
        if not cells or not cells[0] or cells[0].startswith("#"):
            continue
        if number == 1 and cells[0].lower() in {"address", "email", "recipient", "subject"}:
            continue
        done.read += 1
        subject = parse_subject(cells[0])
        if subject is None:
            done.refuse(number, f'"{cells[0][:80]}" is no address and no domain')
            continue
        try:
            yield _with_cells(replace(given, subject=subject), cells[1:4])
        except ValueError as problem:
            done.refuse(number, str(problem))


def _limited(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines no longer than a row can be, without what ends a CSV reader's patience."""
    for line in lines:
        yield line[:4096].replace("\0", "").replace("\r", "").rstrip("\n") + "\n"


def _with_cells(suppression: Suppression, cells: list[str]) -> Suppression:
    kind, date, reason = (*cells, "", "", "")[:3]
    if kind:
        suppression = replace(suppression, kind=SuppressionClass(kind.lower()))
    if date:
        at = datetime.fromisoformat(date)
        suppression = replace(suppression, since=at if at.tzinfo else at.replace(tzinfo=UTC))
    return replace(suppression, reason=reason[:LONGEST_REASON]) if reason else suppression


def _subject(text: str) -> str:
    subject = parse_subject(text)
    if subject is None:
        msg = f'"{text}" is no address and no domain'
        raise BadSuppressionError(msg, 'write "bob@example.com", or "@example.com" for a domain')
    return subject


def _account(scope: Scope) -> AccountName | None:
    return None if scope.account is None else account_name(scope.account)


def _stream(text: str) -> str:
    if text and not is_stream_name(text):
        msg = f'"{text}" is no name of a stream'
        raise BadSuppressionError(msg, "write 1 to 64 letters, digits, or any of - _ .")
    return text


def _must_exist(transaction: Transaction, account: AccountName | None) -> None:
    if account is not None:
        existing(transaction, account)


def _scope_words(account: AccountName | None, stream: str) -> str:
    whose = f"for {account}" if account else "for all accounts"
    return f"{whose}, stream {stream}" if stream else whose
