"""Is the store whole? Every promise that rows make to each other and to the contents."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from gatepost.store.protocols import ContentAwayError, Store, StoreUnavailableError
from gatepost.store.rows import Row

T = TypeVar("T")

#: Hears what is looked at ("rows", "contents"), how far that is, and of how much.
Told = Callable[[str, int, int], None]

#: Faults of one kind that are listed one by one.
_MOST: Final = 100
#: What is looked at in one snapshot, which soon ends: rows of a table; contents, and their octets (but
#: one, however large). A snapshot that lasts keeps what is dead from being cleared away.
_PART: Final = 5000
_PAGE: Final = 200
_OCTETS: Final = 16 * 1024 * 1024
#: Behind every id.
_END: Final = "~"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must not be: the condition of a row, what names the fault, and the words."""

    condition: str
    words: str
    shows: str = "id"


#: Counted, so that each row has its look-up, by an index: a join might go through all of the other
#: table for each part.
_NONE: Final = "(SELECT count(*) FROM {} AS o WHERE o.{} = t.{}) = 0"


def _without(other: str, its: str, ours: str) -> str:
    return _NONE.format(other, its, ours)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, the column by which it is walked, and what must not be in it."""

    name: str
    key: str
    rules: Sequence[Rule]
    #: It may be dropped meanwhile.
    is_daily: bool = False


_TABLES: Final[Sequence[Table]] = (
    Table(
        "delivery",
        "id",
        (
            Rule(
                _without("content", "submission_id", "submission_id"),
                "message {} waits for delivery, and its content is missing",
                shows="submission_id",
            ),
            Rule(
                _without("submission", "id", "submission_id"), "delivery {} belongs to no message"
            ),
            Rule("t.state NOT IN (0, 1, 2)", "delivery {} is finished, and still in the queue"),
            Rule(
                # What was held while it was under way keeps its worker, and its lease's end.
                "t.state <> 2 AND (t.state = 1) <> (t.worker IS NOT NULL)",
                "delivery {} is leased by nobody, or held by a worker without a lease",
            ),
            Rule(
                "(t.state = 2 AND t.worker IS NULL) <> (t.ready_at IS NULL)",
                "delivery {} has no time at which it may be taken, or is held and has one",
            ),
            Rule(
                "t.state = 0 AND t.ready_at <> t.next_attempt_at",
                "delivery {} is due at two different times",
            ),
        ),
    ),
    Table(
        "content",
        "submission_id",
        (
            Rule(
                _without("submission", "id", "submission_id"),
                "content of {} belongs to no message",
                shows="submission_id",
            ),
            Rule(
                f"t.keep_until IS NULL AND {_without('delivery', 'submission_id', 'submission_id')}"
                f" AND {_without('notice', 'submission_id', 'submission_id')}",
                "content of {} is kept, and nothing needs it",
                shows="submission_id",
            ),
        ),
    ),
    Table(
        "submission",
        "id",
        (
            Rule(
                f"t.finished_at IS NULL AND {_without('delivery', 'submission_id', 'id')}",
                "message {} has no delivery, and is not finished",
            ),
        ),
    ),
    Table(
        "notice",
        "delivery_id",
        (
            Rule(
                _without("submission", "id", "submission_id"),
                "a return for delivery {} is owed for no message",
                shows="delivery_id",
            ),
        ),
    ),
)
#: Finished deliveries: final, of a known message, and no longer in the queue.
_FINISHED: Final[Sequence[Rule]] = (
    Rule("t.state < 3", "delivery {} is filed as finished, and is not"),
    Rule(_without("submission", "id", "submission_id"), "delivery {} has no message"),
    Rule(
        "EXISTS (SELECT 1 FROM delivery AS d WHERE d.id = t.id)",
        "delivery {} is finished, and still in the queue",
    ),
)


@runtime_checkable
class Inspected(Protocol):
    """A store whose rows can be looked at."""

    async def inspect(self, query: Callable[[Any], T]) -> T:
        """Run a query on a consistent snapshot; it may take its time."""
        ...


async def verify(store: Store, told: Told = lambda *_: None) -> list[str]:
    """Return what is wrong, one sentence each; nothing when the store is whole.

    Each part of a table has a snapshot of its own, so that a long queue holds up neither mail nor the
    log. Contents are read in full and compared with their checksums.

    Raises:
        StoreUnavailableError: the store cannot be read, or is of a kind that cannot be verified.

    """
    if not isinstance(store, Inspected):
        msg = f"{type(store).__name__} cannot be verified"
        raise StoreUnavailableError(msg)
    faults: list[str] = await store.inspect(lambda reading: reading.faults())
    days: list[str] = await store.inspect(lambda reading: reading.days("delivery"))
    tables = [*_TABLES, *(Table(day, "id", _FINISHED, is_daily=True) for day in days)]
    for number, table in enumerate(tables):
        told("rows", number, len(tables))
        rows = _Rows(table)
        while rows.last is not None:
            faults += await store.inspect(rows)
    faults += await store.inspect(_lost_notices)
    count: int = await store.inspect(_count)
    contents = _Contents()
    while contents.last is not None:
        told("contents", min(contents.seen, count), count)
        faults += await store.inspect(contents)
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

    def content_page(self, after: str, limit: int) -> list[Row]:
        """Return of which messages contents are kept, in order, behind one, and their octets."""
        ...

    def damaged(self, submission_ids: Sequence[str]) -> Iterator[str]:
        """Read some contents; yield what is wrong. Raises ContentAwayError."""
        ...


def _count(reading: Inspecting) -> int:
    ((count,),) = reading.rows("SELECT count(*) FROM content")
    return int(count)


def _lost_notices(reading: Inspecting) -> list[str]:
    """Return reports that are owed for deliveries which nobody knows."""
    tables = ["delivery", *reading.days("delivery")]
    known = (f"NOT EXISTS (SELECT 1 FROM {t} AS d WHERE d.id = n.delivery_id)" for t in tables)  # noqa: S608
    query = f"SELECT delivery_id FROM notice AS n WHERE {' AND '.join(known)} LIMIT {_MOST}"  # noqa: S608
    return [f"a return is owed for delivery {row[0]}, which is lost" for row in reading.rows(query)]


class _Rows:
    """Looks at a table, a part at a time; `last` is where the next begins, None at the end."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._found = dict.fromkeys(table.rules, 0)
        self.last: str | None = ""

    def __call__(self, reading: Inspecting) -> list[str]:
        name, key = self._table.name, self._table.key
        if self._table.is_daily and name not in reading.days("delivery"):
            self.last = None
            return []
        after = self.last
        end = reading.rows(
            f"SELECT {key} FROM {name} WHERE {key} > ? ORDER BY {key} LIMIT 1 OFFSET ?",  # noqa: S608
            (after, _PART - 1),
        )
        self.last = end[0][0] if end else None
        faults: list[str] = []
        for rule, so_far in self._found.items():
            if so_far > _MOST:
                continue
            found = reading.rows(
                f"SELECT DISTINCT t.{rule.shows} FROM {name} AS t WHERE t.{key} > ?"  # noqa: S608
                f" AND t.{key} <= ? AND {rule.condition} LIMIT ?",
                (after, self.last or _END, _MOST + 1 - so_far),
            )
            faults += [rule.words.format(row[0]) for row in found[: _MOST - so_far]]
            self._found[rule] += len(found)
            if self._found[rule] > _MOST:
                faults.append(rule.words.format("(and more)"))
        return faults


class _Contents:
    """Looks at contents, some at a time; `last` is as above."""

    def __init__(self) -> None:
        self.last: str | None = ""
        self.seen = 0

    def __call__(self, reading: Inspecting) -> list[str]:
        page = reading.content_page(self.last or "", _PAGE)
        names: list[str] = []
        octets = 0
        for name, length in page:
            octets += length
            if names and octets > _OCTETS:
                break
            names.append(name)
        is_end = len(names) == len(page) < _PAGE
        self.last = None if is_end else names[-1]
        self.seen += len(names)
        faults: list[str] = []
        try:
            faults.extend(f"content of {fault}" for fault in reading.damaged(names))
        except ContentAwayError as error:
            self.last = None  # nor can those behind
            faults.append(f"content of {names[0]}, nor any other, can be read: {error}")
        return faults
