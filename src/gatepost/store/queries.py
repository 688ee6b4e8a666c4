"""The questions that a store answers from its tables, of SQLite or of PostgreSQL (`statements`)."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any, ClassVar, Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId
from gatepost.model.lane import LANES, Lane
from gatepost.model.submission import Submission
from gatepost.store.account_table import AccountTable
from gatepost.store.api_key_table import ApiKeyTable
from gatepost.store.bulk_table import BulkTable
from gatepost.store.days import day_of
from gatepost.store.domain_table import DomainTable
from gatepost.store.foreign_use_table import ForeignUseTable
from gatepost.store.history_table import HistoryTable
from gatepost.store.kept_key_table import KeptKeyTable
from gatepost.store.key_mark_table import KeyMarkTable
from gatepost.store.later_table import LaterTable
from gatepost.store.leases import ANY_NODE
from gatepost.store.notices import DueNotice
from gatepost.store.outbox import StoredEvent
from gatepost.store.pause_table import PauseTable
from gatepost.store.pool_queries import PoolQueries
from gatepost.store.pools import of_each
from gatepost.store.presence_table import PresenceTable
from gatepost.store.queue_matching import CountQueries, conditions_of, id_range, numbers
from gatepost.store.queue_view import Matching, QueueFilter, QueueRow, Stretch
from gatepost.store.quota_table import QuotaTable
from gatepost.store.rows import (
    DELIVERY_WIDTH,
    DUE,
    FINISHED_COLUMNS,
    LANE_NUMBERS,
    LEASED,
    LIVE_COLUMNS,
    NOTICE_NUMBERS,
    NOTICES,
    NUMBERS,
    STATES,
    SUBMISSION_COLUMNS,
    Row,
    delivery_of,
    event_of,
    known,
    microseconds,
    moment,
    submission_of,
)
from gatepost.store.suppression_table import SuppressionTable
from gatepost.store.turn_queries import TurnQueries

#: Rows that one question of a verb's looks at, and which.
_LOOKED_AT: Final = 5000
_PART: Final = "FROM delivery WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
#: Rows that are soon put in order.
_FEW: Final = 2000
_D: Final = ", ".join(f"d.{column.strip()}" for column in LIVE_COLUMNS.split(","))
_S: Final = ", ".join(f"s.{column.strip()}" for column in SUBMISSION_COLUMNS.split(","))
#: A delivery with its submission; `queue_row` reads it.
QUEUE_COLUMNS: Final = f"{_D}, {_S}"
_FINISHED: Final = QUEUE_COLUMNS.replace("d.pool, d.account", "'', ''")
_NEXT_DUE: Final = ", ".join(
    f"(SELECT min(ready_at) FROM delivery WHERE state = {state} AND lane = {{lane}}"  # noqa: S608
    " AND pool = {pool})"
    for state in (DUE, LEASED)
)
_CAPTURED: Final = NUMBERS[DeliveryState.CAPTURED]


class Queries(
    AccountTable,
    ApiKeyTable,
    BulkTable,
    CountQueries,
    DomainTable,
    ForeignUseTable,
    HistoryTable,
    KeptKeyTable,
    KeyMarkTable,
    LaterTable,
    PauseTable,
    PoolQueries,
    PresenceTable,
    QuotaTable,
    SuppressionTable,
    TurnQueries,
):
    """`Reading`, but the contents. What is mixed into it has the connection and knows the days."""

    #: A refused login's tag, in a row of a day's events.
    tag: ClassVar[str] = "facts ->> 'tag'"
    #: Which events may be told in order: none will be committed before them any more.
    settled_events: ClassVar[str] = ""

    def days(self, kind: str) -> list[str]:
        """Return the daily tables of a kind ("delivery" or "event"), oldest first."""
        raise NotImplementedError

    def refused_logins(
        self, since: datetime, *, tag: str | None = None, account: AccountName | None = None
    ) -> list[Event]:
        """Return the refused logins of one tag or one account since then."""
        column, wanted = (self.tag, tag) if tag is not None else ("account", account)
        first = day_of(microseconds(since))
        found: list[Row] = []
        for table in self.days("event"):
            if table[-8:] >= first:
                sql = f"SELECT * FROM {table} WHERE kind = 'login.refused' AND {column} = ?"  # noqa: S608
                found += self._rows(sql, (wanted,))
        events = [event_of(row).event for row in sorted(found, key=itemgetter(0))]
        return [event for event in events if event.at >= since]

    def submission(self, submission_id: SubmissionId) -> Submission | None:
        """Return one submission, finished ones too."""
        sql = f"SELECT {SUBMISSION_COLUMNS} FROM submission WHERE id = ?"  # noqa: S608
        row = self._row(sql, (submission_id,))
        return None if row is None else submission_of(row)

    def deliveries(
        self, which: QueueFilter, *, limit: int, after: DeliveryId | None = None
    ) -> list[QueueRow]:
        """Return matching deliveries in order of their ids."""
        pages = [self._delivery_rows(table, which, limit, after) for table in self._tables(which)]
        rows = pages[0] if len(pages) == 1 else heapq.merge(*pages, key=itemgetter(0))
        return known(islice(rows, limit), queue_row)

    def _tables(self, which: QueueFilter) -> list[str]:
        if which.states is None:
            live, finished = True, which.id is not None
        else:
            live = any(not state.is_final for state in which.states)
            finished = any(state.is_final for state in which.states)
        tables = ["delivery"] if live else []
        # Of what is finished, only events tell the pool.
        return tables + (self.days("delivery") if finished and which.pool is None else [])

    def _delivery_rows(
        self, table: str, which: QueueFilter, limit: int, after: DeliveryId | None
    ) -> list[Row]:
        conditions, bindings = conditions_of(table, which, self._state_column(table, which))
        if after is not None:
            conditions.append("d.id > ?")
            bindings.append(after)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        # CROSS JOIN fixes the order: deliveries by id, each with its submission.
        columns = QUEUE_COLUMNS if table == "delivery" else _FINISHED
        sql = (
            f"SELECT {columns} FROM {table} AS d"  # noqa: S608 - names are ours
            f" CROSS JOIN submission AS s ON s.id = d.submission_id {where} ORDER BY d.id LIMIT ?"
        )
        return list(self._rows(sql, (*bindings, limit)))

    def matching(self, which: QueueFilter) -> Matching:
        """Count matching deliveries that are not finished."""
        conditions, bindings = conditions_of("delivery", which, "d.state")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        # Only an account is a submission's; without it the rows of one table do.
        join = "" if which.account is None else "JOIN submission AS s ON s.id = d.submission_id"
        # Of all that waits this would be read from every row.
        ends = "min(d.submission_id), max(d.submission_id)" if which.id else "NULL, NULL"
        sql = f"SELECT count(*), max(d.id), {ends} FROM delivery AS d {join} {where}"  # noqa: S608
        count, last, first_message, last_message = next(self._rows(sql, bindings))
        return Matching(count, last, first_message == last_message)

    def stretch(
        self, which: QueueFilter, *, after: DeliveryId | None, until: DeliveryId, limit: int
    ) -> Stretch:
        """Return the next matching deliveries of a part of the queue."""
        part = (after or "", until, _LOOKED_AT)
        conditions, bindings = conditions_of("delivery", which, "d.state")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = (
            f"SELECT {QUEUE_COLUMNS} FROM (SELECT * {_PART}) AS d"  # noqa: S608 - names are ours
            f" CROSS JOIN submission AS s ON s.id = d.submission_id {where} ORDER BY d.id LIMIT ?"
        )
        there = list(self._rows(sql, (*part, *bindings, limit)))
        rows = known(there, queue_row)
        if len(there) == limit:
            return Stretch(rows, DeliveryId(there[-1][0]))
        sql = f"SELECT count(*), max(id) FROM (SELECT id {_PART}) AS d"  # noqa: S608
        count, last = next(self._rows(sql, part))
        return Stretch(rows, last if count == _LOOKED_AT else None)

    def _state_column(self, table: str, which: QueueFilter) -> str:
        """Return how a condition names the state: by its index only where that leads to few rows.
        More of them would have to be put in order; walking by id, the first page is soon full.
        """
        if table != "delivery" or which.states is None:
            return "d.state"
        sql = (
            "SELECT count(*) FROM (SELECT 1 FROM delivery"  # noqa: S608 - numbers of ours
            f" WHERE state IN ({numbers(which.states)}) LIMIT {_FEW}) AS few"
        )
        return "d.state" if next(self._rows(sql))[0] < _FEW else "+d.state"

    def queue_depth(self) -> dict[DeliveryState, int]:
        """Return how many deliveries stand in each state that is not final, and CAPTURED."""
        depth = {state: 0 for state in STATES if not state.is_final}
        # The planner would walk the rows; the index that begins with the state is ten times smaller.
        sql = "SELECT state, count(*) FROM delivery INDEXED BY delivery_next GROUP BY state"
        for state, count in self._rows(sql):
            if state < len(STATES):  # else one that only a newer program knows
                depth[STATES[state]] = count
        captured = 0
        for table in self.days("delivery"):
            sql = f"SELECT count(*) FROM {table} WHERE state = {_CAPTURED}"  # noqa: S608
            captured += next(self._rows(sql))[0]
        return depth | {DeliveryState.CAPTURED: captured}

    def next_due_at(
        self, lanes: Iterable[Lane] = LANES, pools: Sequence[str] = ANY_NODE
    ) -> datetime | None:
        """Return when the next delivery falls due, or the next lease ends."""
        asked = tuple(LANE_NUMBERS[lane] for lane in lanes)
        if not asked:
            return None
        found = next(self._rows(of_each(_NEXT_DUE, len(pools), lanes=asked), pools))
        times = [number for number in found if number is not None]
        return moment(min(times)) if times else None

    def events(
        self,
        *,
        submission_id: SubmissionId | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[StoredEvent]:
        """Return events in the order of their positions."""
        bindings: list[Any]
        condition, bindings = f"position > ?{self.settled_events}", [after, limit]
        if submission_id is not None:
            condition, bindings = (
                "submission_id = ? AND position > ?",
                [submission_id, after, limit],
            )
        pages = []
        for table in self.days("event"):
            sql = (
                f"SELECT * FROM {table} WHERE {condition}"  # noqa: S608
                " ORDER BY position LIMIT ?"
            )
            page = list(self._rows(sql, bindings))
            if page:
                pages.append(page)
        # Days overlap: an event is filed by its own time, its position by when it was written.
        rows = pages[0] if len(pages) == 1 else heapq.merge(*pages, key=itemgetter(0))
        return [event_of(row) for row in islice(rows, limit)]

    def find_submissions(self, text: str, *, limit: int = 20) -> list[SubmissionId]:
        """Return submissions whose id begins with, or whose Message-ID or a recipient is, `text`."""
        found = set(self._ids_like(text, limit))
        sql = "SELECT id FROM submission WHERE message_id = ? ORDER BY id DESC LIMIT ?"
        found.update(row[0] for row in self._rows(sql, (text, limit)))
        if "@" in text:
            tables = ["delivery", *self.days("delivery")[::-1]]
            for table in tables:
                sql = (
                    f"SELECT submission_id FROM {table} WHERE forward_path = ? COLLATE NOCASE"  # noqa: S608
                    " ORDER BY id DESC LIMIT ?"
                )
                found.update(row[0] for row in self._rows(sql, (text, limit)))
        return sorted(found, reverse=True)[:limit]

    def _ids_like(self, text: str, limit: int) -> Iterator[SubmissionId]:
        first, last = id_range(text)
        sql = "SELECT id FROM submission WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?"
        return (row[0] for row in self._rows(sql, (first, last, limit)))

    def position(self, reader: str) -> int:
        """Return how far a reader has come."""
        row = self._row("SELECT value FROM counter WHERE name = ?", (f"reader/{reader}",))
        return 0 if row is None else row[0]

    def notices_due(self, *, limit: int, after: DueNotice | None = None) -> list[DueNotice]:
        """Return reports that are owed, in order; what cannot be read keeps none back."""
        found: list[DueNotice] = []
        place = ("", -1) if after is None else (after.delivery.id, NOTICE_NUMBERS[after.kind])
        tables = ["delivery", *self.days("delivery")[::-1]]
        while len(found) < limit:
            rows = self._notice_rows(place, limit)
            found += self._notices_of(rows, tables)
            if len(rows) < limit:
                break
            place = rows[-1][0], rows[-1][1]
        return found[:limit]

    def _notice_rows(self, after: tuple[str, int], limit: int) -> list[Row]:
        sql = (
            f"SELECT n.delivery_id, n.kind, {_S} FROM notice AS n"  # noqa: S608
            f" JOIN submission AS s ON s.id = n.submission_id WHERE n.kind < {len(NOTICES)}"
            " AND (n.delivery_id, n.kind) > (?, ?) ORDER BY n.delivery_id, n.kind LIMIT ?"
        )
        return list(self._rows(sql, (*after, limit)))

    def _notices_of(self, rows: Iterable[Row], tables: Sequence[str]) -> list[DueNotice]:
        def notice_of(row: Row) -> DueNotice | None:
            delivery = self._delivery(tables, row[0])
            if delivery is None:
                return None
            return DueNotice(delivery, submission_of(row[2:]), NOTICES[row[1]])

        return [notice for notice in known(rows, notice_of) if notice is not None]

    def _delivery(self, tables: Iterable[str], delivery_id: DeliveryId) -> Delivery | None:
        for table in tables:
            columns = LIVE_COLUMNS if table == "delivery" else FINISHED_COLUMNS
            sql = f"SELECT {columns} FROM {table} WHERE id = ?"  # noqa: S608
            row = self._row(sql, (delivery_id,))
            if row is not None:
                return delivery_of(row)
        return None


def queue_row(row: Row) -> QueueRow:
    """Return the values of a row of QUEUE_COLUMNS."""
    return QueueRow(delivery_of(row), submission_of(row[DELIVERY_WIDTH:]))
