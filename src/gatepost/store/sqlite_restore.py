"""Rows that a damaged database has lost, made anew from what segments say beside the contents.

What the rows say that are left, what the journal says, and of which time nothing is known, decides what
comes back, and how (`evidence`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import apsw

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.store.days import day_of, day_tables, table_day
from gatepost.store.envelope import Envelope
from gatepost.store.envelope_octets import decode, encode
from gatepost.store.evidence import REASONS, Evidence
from gatepost.store.outbox import StoredEvent
from gatepost.store.pending import new_delivery_row
from gatepost.store.protocols import ContentDamagedError, StoreUnavailableError
from gatepost.store.quota_recount import Recount
from gatepost.store.rows import (
    DELIVERY_COLUMNS,
    EVENT_COLUMNS,
    LIVE_COLUMNS,
    NUMBERS,
    QUEUED_COLUMNS,
    SUBMISSION_COLUMNS,
    NewerRowError,
    Row,
    delivery_of,
    event_of,
    event_row,
    microseconds,
    moment,
    outcome_json,
    submission_row,
)
from gatepost.store.segment_records import Record, records
from gatepost.store.segments import Place, SegmentGoneError, read_content, segments, size
from gatepost.store.sqlite_redo import LOG, MOST, TOLD
from gatepost.store.sqlite_schema import DAY_TABLES, make_day_table
from gatepost.wire.values import changed

_LOST: Final = (
    "CREATE TEMP TABLE lost (id TEXT PRIMARY KEY, segment TEXT, offset INTEGER, length INTEGER,"
    " crc INTEGER, certain INTEGER, received_at INTEGER, envelope BLOB, uncounted INTEGER) WITHOUT ROWID"
)
_IS_THERE: Final = (
    "SELECT s.finished_at IS NOT NULL, EXISTS"
    " (SELECT 1 FROM content AS c WHERE c.submission_id = s.id) FROM submission AS s WHERE s.id = ?"
)
_FILE: Final = (
    f"INSERT OR REPLACE INTO delivery_{{day}} ({DELIVERY_COLUMNS})"  # noqa: S608 - our own names
    " SELECT id, submission_id, forward_path, destination, next_attempt_at, expires_at, ?, attempts,"
    " leases, outcome, reason, warned, lane, notify, orcpt FROM delivery WHERE id = ?"
)
_CHANGE: Final = (
    "UPDATE delivery SET state = ?, ready_at = ?, next_attempt_at = ?, attempts = ?, reason = ?,"
    " worker = NULL WHERE id = ?"
)
_FINISH: Final = (
    "UPDATE submission SET finished_at = ? WHERE id = ? AND finished_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.submission_id = submission.id)"
)
#: More octets than any segment has.
_ALL: Final = 2**63
#: Rows that are looked at together.
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Journal:
    """What is known beside the database: the journal's events from a day on, its last position,
    and when the node last gave a sign of life.
    """

    last_position: int
    alive_until: datetime
    events: Callable[[date], Iterable[StoredEvent]]


@dataclass(slots=True)
class Restored:
    """What came of it, in messages and deliveries."""

    messages: int = 0
    #: Deliveries that go on as they were: due, or held by a route.
    due: int = 0
    #: How many are held for which reason.
    held: dict[str, int] = field(default_factory=dict)
    #: Rows that were due still, of what had ended.
    ended: int = 0
    #: Contents that were stored for messages which nobody had accepted.
    unaccepted: int = 0
    #: The last position of an event that is known to have been committed.
    last_position: int = 0
    lost: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def restore(
    target: apsw.Connection,
    directory: Path,
    journal: Journal,
    now: datetime,
    *,
    is_counted: bool,
    is_logged: bool,
) -> Restored:
    """Make rows anew in `target`, which has all that could be read, within its transaction.

    Args:
        target: the new database.
        directory: of the segments.
        journal: what is known beside.
        now: when that is done.
        is_counted: the count of events could be read.
        is_logged: so could up to where rows told of each segment.

    Raises:
        apsw.Error, StoreUnavailableError: trouble.

    """
    restoring = _Restoring(target, directory, journal, now)
    return restoring.run(is_counted=is_counted, is_logged=is_logged)


class _Restoring:
    def __init__(
        self, target: apsw.Connection, directory: Path, journal: Journal, now: datetime
    ) -> None:
        self._target = target
        self._directory = directory
        self._journal = journal
        self._now = now
        self._done = Restored()
        self._recount = Recount(target)
        self._committed = journal.last_position
        names = day_tables(target.execute(DAY_TABLES, ("delivery_", "event`")))
        self._finished = [name for name in names if name.startswith("delivery")]
        self._events = [name for name in names if name.startswith("event")]

    def run(self, *, is_counted: bool, is_logged: bool) -> Restored:
        self._target.execute(_LOST)
        self._find_lost(is_logged=is_logged)
        evidence = self._evidence(is_counted=is_counted)
        for row in self._all(f"SELECT {LIVE_COLUMNS} FROM delivery"):  # noqa: S608
            with suppress(NewerRowError):  # it is left to the program that wrote it
                self._correct(delivery_of(row), evidence)
        for row in self._all("SELECT * FROM lost"):
            place = Place(*row[1:5])
            envelope = decode(row[7], place.length, is_certain=bool(row[5]))
            if self._bring_back(place, envelope, evidence) and row[8]:
                self._recount.add(envelope)
        self._recount.write()
        self._target.execute("DROP TABLE lost")
        self._log_segments()
        self._done.last_position = self._committed
        return self._done

    def _rows(self, sql: str, *bindings: str | int) -> Sequence[Row]:
        return self._target.execute(sql, bindings).fetchall()

    def _all(self, sql: str) -> Iterator[Row]:
        """Return rows by their ids, some at a time: those that came may be changed."""
        after = ""
        while rows := self._rows(f"{sql} WHERE id > ? ORDER BY id LIMIT {_AT_ONCE}", after):
            yield from rows
            after = rows[-1][0]

    # -- what is missing
    def _find_lost(self, *, is_logged: bool) -> None:
        """Note which records of segments have not all the rows they should; the latest of each."""
        told = {row[0]: row[1] for row in self._rows(TOLD)}
        unknown = 0 if is_logged else _ALL
        # Counts are lost with the rows beside which they were committed, or all with the database.
        none_counted = not self._rows("SELECT 1 FROM quota LIMIT 1")
        since = self._last_event_at() - MOST
        for segment in segments(self._directory):
            for record in records(self._directory, segment):
                self._committed = max(self._committed, record.position)
                if (envelope := record.envelope) is None:
                    continue
                is_new = envelope.submission.received_at >= since
                is_untold = record.place.offset > told.get(segment, unknown)
                if is_new and envelope.suffices and is_untold:
                    # It was accepted, as far as anybody was told (`sqlite_redo`).
                    envelope = changed(envelope, is_certain=True)
                if self._is_whole(envelope):
                    self._rows("DELETE FROM lost WHERE id = ?", envelope.submission.id)
                else:
                    self._note(record, envelope, is_uncounted=is_untold or none_counted)

    def _log_segments(self) -> None:
        """Have rows tell of all contents: what comes back has come."""
        for segment in segments(self._directory):
            self._target.execute(LOG, (segment, size(self._directory, segment)))

    def _last_event_at(self) -> datetime:
        """Return when the last event that the database has happened: what was not synced is younger."""
        last: list[tuple[int, int]] = [
            (row[0], row[1])
            for table in self._events
            for row in self._rows(f"SELECT position, at FROM {table} ORDER BY 1 DESC LIMIT 1")  # noqa: S608
        ]
        return moment(max(last)[1]) if last else datetime.min.replace(tzinfo=UTC) + MOST

    def _note(self, record: Record, envelope: Envelope, *, is_uncounted: bool) -> None:
        place, submission = record.place, envelope.submission
        self._target.execute(
            "INSERT OR REPLACE INTO lost VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                submission.id,
                place.segment,
                place.offset,
                place.length,
                place.crc,
                int(envelope.is_certain),
                microseconds(submission.received_at),
                encode(envelope),
                int(is_uncounted),
            ),
        )

    def _is_whole(self, envelope: Envelope) -> bool:
        submission = envelope.submission
        found = self._rows(_IS_THERE, submission.id)
        if not found:
            return False
        is_finished, has_content = found[0]
        if is_finished:
            return True
        return bool(has_content) and not self._missing(envelope)

    def _missing(self, envelope: Envelope) -> list[Delivery]:
        """Return the deliveries of which no row tells anything."""
        submission = envelope.submission
        missing = {each.id: each for each in envelope.deliveries if not each.state.is_final}
        day = submission.received_at.date()
        tables = [name for name in self._finished if table_day(name) >= day]
        for table in ("delivery", *tables):
            if not missing:
                break
            sql = f"SELECT id FROM {table} WHERE submission_id = ?"  # noqa: S608
            for (name,) in self._rows(sql, submission.id):
                missing.pop(name, None)
        return list(missing.values())

    # -- what is known
    def _evidence(self, *, is_counted: bool) -> Evidence:
        wanted = {row[0] for row in self._rows("SELECT id FROM lost")}
        wanted |= {row[0] for row in self._rows("SELECT DISTINCT submission_id FROM delivery")}
        last = self._last_position() if is_counted else None
        went_back = last is not None and self._committed > last
        evidence = Evidence(wanted, went_back)
        oldest = self._oldest()
        for stored in self._journal.events(oldest):
            evidence.hear(stored)
        for stored in self._stored_events(oldest):
            evidence.hear(stored)
        evidence.close(last, self._journal.alive_until)
        return evidence

    def _last_position(self) -> int:
        rows = self._rows("SELECT value FROM counter WHERE name = 'event'")
        tables = [f"SELECT max(position) FROM {table}" for table in self._events]  # noqa: S608
        found = [row[0] for row in rows] + [self._rows(sql)[0][0] for sql in tables]
        return max((number for number in found if number is not None), default=0)

    def _oldest(self) -> date:
        sql = (
            "SELECT min(received_at) FROM (SELECT received_at FROM lost UNION ALL SELECT received_at"
            " FROM submission WHERE finished_at IS NULL)"
        )
        ((at,),) = self._rows(sql)
        oldest = self._now if at is None else moment(at)
        return oldest.date() - timedelta(days=1)  # a message is written down after it is dated

    def _stored_events(self, oldest: date) -> Iterator[StoredEvent]:
        for table in self._events:
            if table_day(table) >= oldest:
                sql = f"SELECT {EVENT_COLUMNS} FROM {table} ORDER BY position"  # noqa: S608
                for row in self._target.execute(sql):
                    yield event_of(row)

    # -- what is done
    def _correct(self, delivery: Delivery, evidence: Evidence) -> None:
        """Let a row say what is known of its delivery."""
        right = evidence.of_a_row(delivery)
        if right is delivery:
            return
        if not right.state.is_final:
            if right.state is DeliveryState.HELD and right.reason in REASONS:
                self._hold(right.reason)
                self._tell(right)
            at = microseconds(right.next_attempt_at)
            state = NUMBERS[right.state]
            ready_at = None if right.state is DeliveryState.HELD else at
            changes = (state, ready_at, at, right.attempts, right.reason, right.id)
            self._target.execute(_CHANGE, changes)
            return
        at = microseconds(evidence.ended[delivery.id].event.at)
        make_day_table(self._target, "delivery", day_of(at))
        self._target.execute(_FILE.format(day=day_of(at)), (NUMBERS[right.state], delivery.id))
        self._rows("DELETE FROM delivery WHERE id = ?", delivery.id)
        self._rows(_FINISH, at, delivery.submission_id)
        self._done.ended += 1

    def _bring_back(self, place: Place, envelope: Envelope, evidence: Evidence) -> bool:
        """Write what is left to do of a message; tell whether it was accepted, as far as is known, and
        no row told so.
        """
        submission = envelope.submission
        rows = self._rows("SELECT 1 FROM submission WHERE id = ?", submission.id)
        living = self._rows("SELECT 1 FROM delivery WHERE submission_id = ?", submission.id)
        missing = self._missing(envelope)
        left = Envelope(submission, missing, envelope.is_certain or bool(rows) or bool(living))
        back = evidence.restored(left)
        is_known = left.is_certain or submission.id in evidence.heard_of
        is_news = not rows and (is_known or bool(back))
        if not back and not living:
            self._done.unaccepted += not is_known
            self._rows(_FINISH, microseconds(submission.received_at), submission.id)
            return is_news
        if words := self._unreadable(place):
            to = ", ".join(each.forward_path for each in back)
            named = f"message {submission.id} from <{submission.reverse_path}>"
            self._done.lost.append(f"{named}{to and f' to {to}'}: its content is damaged: {words}")
            return is_news
        self._write(place, envelope, back)
        if back:
            self._count(back)
        return is_news

    def _unreadable(self, place: Place) -> str:
        try:
            read_content(self._directory, place)
        except (ContentDamagedError, SegmentGoneError, StoreUnavailableError) as error:
            return str(error)
        return ""

    def _write(self, place: Place, envelope: Envelope, back: Iterable[Delivery]) -> None:
        submission = envelope.submission
        target = self._target
        values = ", ".join("?" * len(submission_row(submission)))
        target.execute(
            f"INSERT OR IGNORE INTO submission ({SUBMISSION_COLUMNS}) VALUES ({values})",  # noqa: S608
            submission_row(submission),
        )
        target.execute(
            "INSERT OR IGNORE INTO content (submission_id, segment, offset, length, crc)"
            " VALUES (?, ?, ?, ?, ?)",
            (submission.id, place.segment, place.offset, place.length, place.crc),
        )
        for delivery in back:
            outcome, account = outcome_json(delivery.last_outcome), submission.account
            row = new_delivery_row(delivery, outcome, None, None, account=account)
            values = ", ".join("?" * len(row))
            target.execute(
                f"INSERT OR IGNORE INTO delivery ({QUEUED_COLUMNS})"  # noqa: S608
                f" VALUES ({values})",
                row,
            )

    def _count(self, back: Sequence[Delivery]) -> None:
        self._done.messages += 1
        for delivery in back:
            if delivery.reason in REASONS:
                self._hold(delivery.reason)
            else:
                self._done.due += 1
            self._tell(delivery)

    def _hold(self, reason: str) -> None:
        self._done.held[reason] = self._done.held.get(reason, 0) + 1

    def _tell(self, delivery: Delivery) -> None:
        facts = {"recipient": delivery.forward_path, "reason": delivery.reason}
        told = {name: fact for name, fact in facts.items() if fact}
        of = (delivery.submission_id, delivery.id)
        self._done.events.append(Event(EventKind.RESTORED, self._now, *of, facts=told))


def count_events(target: apsw.Connection, last_position: int, events: Sequence[Event]) -> None:
    """Go on counting events behind all that are known, and write those of a restoration."""
    tables = day_tables(target.execute(DAY_TABLES, ("event_", "event`")))
    known = [target.execute(f"SELECT max(position) FROM {table}").get for table in tables]  # noqa: S608
    last = max([last_position, *(number for number in known if number is not None)])
    target.execute(
        "INSERT INTO counter VALUES ('event', ?) ON CONFLICT (name)"
        " DO UPDATE SET value = max(value, excluded.value)",
        (last + len(events),),
    )
    for position, event in enumerate(events, last + 1):
        day = day_of(microseconds(event.at))
        make_day_table(target, "event", day)
        target.execute(
            f"INSERT INTO event_{day} ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            event_row(position, event),
        )
