"""Is the store whole? Every promise that rows make to each other and to the contents."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from gatepost.store.protocols import ContentDamagedError, Store, StoreUnavailableError
from gatepost.store.segments import Place, SegmentGoneError, read_content
from gatepost.store.sqlite_reading import SqliteReading

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
    (
        (
            "SELECT submission_id FROM (SELECT submission_id, offset, lag(offset + length)"
            " OVER (PARTITION BY segment ORDER BY offset) AS free_from FROM content WHERE length > 0)"
            " WHERE offset < free_from"
        ),
        "content of {} overlaps another",
    ),
)


@runtime_checkable
class Inspected(Protocol):
    """A store whose rows can be looked at."""

    data_dir: Path

    async def inspect(self, query: Callable[[SqliteReading], list[str]]) -> list[str]:
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


def _rows(reading: SqliteReading) -> list[str]:
    faults = [str(row[0]) for row in reading.rows("PRAGMA quick_check(20)") if row[0] != "ok"]
    for query, words in _RULES:
        found = reading.rows(f"{query} LIMIT ?", (_MOST + 1,))
        faults += [words.format(row[0]) for row in found[:_MOST]]
        if len(found) > _MOST:
            faults.append(words.format("(and more)"))
    return faults + _finished(reading)


def _finished(reading: SqliteReading) -> list[str]:
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

    def __call__(self, reading: SqliteReading) -> list[str]:
        sql = (
            "SELECT submission_id, segment, offset, length, crc FROM content"
            " WHERE submission_id > ? ORDER BY submission_id LIMIT ?"
        )
        rows = reading.rows(sql, (self._after, _PAGE))
        self.last = rows[-1][0] if len(rows) == _PAGE else None
        faults = []
        for row in rows:
            try:
                read_content(reading.directory, Place(*row[1:]))
            except (ContentDamagedError, SegmentGoneError) as error:
                faults.append(f"content of {row[0]} is damaged or missing: {error}")
        return faults
