"""Is the store whole? Every promise that rows make to each other and to the contents."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    ContentUnreadableError,
    Store,
    StoreUnavailableError,
)
from gatepost.store.rows import Row

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


@runtime_checkable
class Inspected(Protocol):
    """A store whose rows can be looked at."""

    async def inspect(self, query: Callable[[Any], list[str]]) -> list[str]:
        """Run a query on a consistent snapshot."""
        ...


async def verify(store: Store) -> list[str]:
    """Return what is wrong, one sentence each; nothing when the store is whole.

    Contents are read in full and compared with their checksums.

    Raises:
        StoreUnavailableError: the store cannot be read, or is of a kind that cannot be verified.

    """
    if not isinstance(store, Inspected):
        msg = f"{type(store).__name__} cannot be verified"
        raise StoreUnavailableError(msg)
    faults = await store.inspect(_rows)
    after = ""
    while True:
        page = _Contents(after)
        faults += await store.inspect(page)
        if page.last is None:
            return faults
        after = page.last


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


def _rows(reading: Inspecting) -> list[str]:
    faults = reading.faults()
    for query, words in _RULES:
        found = reading.rows(f"{query} LIMIT ?", (_MOST + 1,))
        faults += [words.format(row[0]) for row in found[:_MOST]]
        if len(found) > _MOST:
            faults.append(words.format("(and more)"))
    return faults + _finished(reading)


def _finished(reading: Inspecting) -> list[str]:
    """Finished deliveries: final, of a known message, and no longer in the queue."""
    faults = []
    for table in reading.days("delivery"):
        rules = {
            f"SELECT id FROM {table} WHERE state < 3": "is filed as finished, and is not",  # noqa: S608
            f"SELECT id FROM {table} AS d WHERE NOT EXISTS"  # noqa: S608
            " (SELECT 1 FROM submission AS s WHERE s.id = d.submission_id)": "has no message",
            f"SELECT d.id FROM delivery AS d JOIN {table} AS f ON f.id = d.id": (  # noqa: S608
                "is finished, and still in the queue"
            ),
        }
        for query, fault in rules.items():
            found = reading.rows(f"{query} LIMIT {_MOST}")
            faults += [f"delivery {row[0]} {fault}" for row in found]
    return faults


class _Contents:
    """Checks one page of contents; `last` is where the next begins, None at the end."""

    def __init__(self, after: str) -> None:
        self._after = after
        self.last: str | None = None

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
