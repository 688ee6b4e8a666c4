"""Is the store whole? Every promise that rows make to each other and to the contents."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    ContentUnreadableError,
    Store,
    StoreUnavailableError,
)
from gatepost.store.rows import Row

T = TypeVar("T")

#: Hears what is looked at ("rows", "contents"), how far that is, and of how much.
Told = Callable[[str, int, int], None]

#: Faults of one kind that are listed one by one; contents that are read in one snapshot.
_MOST: Final = 100
_PAGE: Final = 200

#: What must not be: a query for the ids at fault, and the words.
_RULES: Final[Sequence[tuple[str, str]]] = (
    (
        (
            "SELECT DISTINCT submission_id FROM delivery AS d WHERE NOT EXISTS"
            " (SELECT 1 FROM content AS c WHERE c.submission_id = d.submission_id)"
        ),
        "message {} waits for delivery, and its content is missing",
    ),
    (
        (
            "SELECT id FROM delivery AS d WHERE NOT EXISTS"
            " (SELECT 1 FROM submission AS s WHERE s.id = d.submission_id)"
        ),
        "delivery {} belongs to no message",
    ),
    (
        (
            "SELECT submission_id FROM content AS c WHERE NOT EXISTS"
            " (SELECT 1 FROM submission AS s WHERE s.id = c.submission_id)"
        ),
        "content of {} belongs to no message",
    ),
    (
        (
            "SELECT submission_id FROM content AS c WHERE keep_until IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM delivery AS d WHERE d.submission_id = c.submission_id) AND NOT EXISTS"
            " (SELECT 1 FROM notice AS n WHERE n.submission_id = c.submission_id)"
        ),
        "content of {} is kept, and nothing needs it",
    ),
    (
        (
            "SELECT id FROM submission AS s WHERE finished_at IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM delivery AS d WHERE d.submission_id = s.id)"
        ),
        "message {} has no delivery, and is not finished",
    ),
    (
        "SELECT id FROM delivery WHERE state NOT IN (0, 1, 2)",
        "delivery {} is finished, and still in the queue",
    ),
    (
        "SELECT id FROM delivery WHERE (state = 1) <> (worker IS NOT NULL)",
        "delivery {} is leased by nobody, or held by a worker without a lease",
    ),
    (
        "SELECT id FROM delivery WHERE (state = 2) <> (ready_at IS NULL)",
        "delivery {} has no time at which it may be taken, or is held and has one",
    ),
    (
        "SELECT id FROM delivery WHERE state = 0 AND ready_at <> next_attempt_at",
        "delivery {} is due at two different times",
    ),
    (
        (
            "SELECT delivery_id FROM notice AS n WHERE NOT EXISTS"
            " (SELECT 1 FROM submission AS s WHERE s.id = n.submission_id)"
        ),
        "a return for delivery {} is owed for no message",
    ),
)


#: The same of a daily table: finished deliveries are final, of a known message, and not in the queue.
_OF_FINISHED: Final[Mapping[str, str]] = {
    "SELECT id FROM {table} WHERE state < 3": "delivery {} is filed as finished, and is not",
    "SELECT id FROM {table} AS d WHERE NOT EXISTS"
    " (SELECT 1 FROM submission AS s WHERE s.id = d.submission_id)": "delivery {} has no message",
    "SELECT d.id FROM delivery AS d JOIN {table} AS f ON f.id = d.id": (
        "delivery {} is finished, and still in the queue"
    ),
}


@runtime_checkable
class Inspected(Protocol):
    """A store whose rows can be looked at."""

    async def inspect(self, query: Callable[[Any], T]) -> T:
        """Run a query on a consistent snapshot; it may take its time."""
        ...


async def verify(store: Store, told: Told = lambda *_: None) -> list[str]:
    """Return what is wrong, one sentence each; nothing when the store is whole.

    Each rule has a snapshot of its own, so that a long queue holds up neither mail nor the log. Contents
    are read in full and compared with their checksums.

    Raises:
        StoreUnavailableError: the store cannot be read, or is of a kind that cannot be verified.

    """
    if not isinstance(store, Inspected):
        msg = f"{type(store).__name__} cannot be verified"
        raise StoreUnavailableError(msg)
    days: list[str] = await store.inspect(lambda reading: reading.days("delivery"))
    steps = list(_steps(days))
    faults: list[str] = []
    for number, step in enumerate(steps):
        told("rows", number, len(steps))
        faults += await store.inspect(step)
    count: int = await store.inspect(_count)
    page, seen = _Contents(""), 0
    while page.last is not None:
        told("contents", min(seen, count), count)
        page = _Contents(page.last)
        faults += await store.inspect(page)
        seen += _PAGE
    told("contents", count, count)
    return faults


class Inspecting(Protocol):
    """What can be asked of such a store."""

    def rows(self, sql: str, bindings: Iterable[Any] = ()) -> list[Row]:
        """Return the rows of a question."""
        ...

    def days(self, kind: str) -> list[str]:
        """Return the daily tables of a kind."""
        ...

    def faults(self) -> list[str]:
        """Return what is wrong that only this kind of database knows."""
        ...

    def content_page(self, after: str, limit: int) -> list[str]:
        """Return of which messages contents are kept, in order, behind one."""
        ...

    def check_content(self, submission_id: str) -> None:
        """Read one content. Raises ContentDamagedError, ContentAwayError."""
        ...


Step = Callable[[Inspecting], list[str]]


def _steps(days: Sequence[str]) -> Iterator[Step]:
    """Return what is to be asked of the rows, with these daily tables of finished deliveries."""
    yield lambda reading: reading.faults()
    for query, words in _RULES:
        yield partial(_broken, query, words)
    for table in days:
        for query, words in _OF_FINISHED.items():
            yield partial(_broken_on, table, query, words)


def _broken(query: str, words: str, reading: Inspecting) -> list[str]:
    """Return where a rule is broken."""
    found = reading.rows(f"{query} LIMIT ?", (_MOST + 1,))
    faults = [words.format(row[0]) for row in found[:_MOST]]
    return [*faults, words.format("(and more)")] if len(found) > _MOST else faults


def _broken_on(table: str, query: str, words: str, reading: Inspecting) -> list[str]:
    """Return where a rule of a daily table is broken, if the day is still there."""
    is_there = table in reading.days("delivery")
    return _broken(query.format(table=table), words, reading) if is_there else []


def _count(reading: Inspecting) -> int:
    ((count,),) = reading.rows("SELECT count(*) FROM content")
    return int(count)


class _Contents:
    """Checks one page of contents; `last` is where the next begins, None at the end."""

    def __init__(self, after: str) -> None:
        self._after = after
        self.last: str | None = after

    def __call__(self, reading: Inspecting) -> list[str]:
        names = reading.content_page(self._after, _PAGE)
        self.last = names[-1] if len(names) == _PAGE else None
        faults = []
        for name in names:
            try:
                reading.check_content(name)
            except ContentUnreadableError as error:
                faults.append(f"content of {name} cannot be read: {error}")
            except ContentAwayError as error:
                self.last = None  # nor can the others
                faults.append(f"content of {name}, nor any other, can be read: {error}")
                return faults
            except ContentDamagedError as error:
                faults.append(f"content of {name} is damaged or missing: {error}")
        return faults
