"""A store that forgets everything at the end of a test: for rooms that need one beside them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from gatepost.model.delivery import Delivery, DeliveryState, Leased
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId, WorkerId
from gatepost.model.lane import LANES, Lane, deal
from gatepost.model.submission import Submission
from gatepost.store.later import LEAST_COUNTED
from gatepost.store.leases import ANY_NODE, Held, Lease
from gatepost.store.notices import DueNotice, NoticeKind
from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    ContentUnreadableError,
    Settlement,
    StoreUnavailableError,
)
from gatepost.store.turns import Line, Turn, Walked
from tests.memory_key_mark import MemoryKeyMark
from tests.memory_pools import MemoryPools
from tests.memory_presences import MemoryPresences
from tests.memory_quotas import MemoryQuotas


class MemoryTransaction(MemoryKeyMark, MemoryQuotas, MemoryPresences, MemoryPools):
    """Reads and changes the tables at once; a job that raises is not undone."""

    def __init__(self) -> None:
        self.submission_rows: dict[SubmissionId, Submission] = {}
        self.delivery_rows: dict[DeliveryId, Delivery] = {}
        self.leases: dict[DeliveryId, tuple[int, datetime]] = {}
        self.holders: dict[DeliveryId, WorkerId] = {}
        self.contents: dict[SubmissionId, bytes] = {}
        self.damaged: set[SubmissionId] = set()
        self.unreadable: set[SubmissionId] = set()
        self.contents_away = False
        self.event_rows: list[Event] = []
        self.notices: dict[tuple[DeliveryId, NoticeKind], None] = {}
        self.fence = 0
        self.calls: list[tuple[str, int]] = []

    # -- reading

    def content(self, submission_id: SubmissionId) -> bytes | None:
        if submission_id in self.damaged:
            raise ContentDamagedError("checksum")
        if submission_id in self.unreadable:
            raise ContentUnreadableError("Input/output error")
        if self.contents_away:
            raise ContentAwayError("not mounted")
        return self.contents.get(submission_id)

    def next_due_at(
        self, lanes: Iterable[Lane] = LANES, pools: Sequence[str] = ANY_NODE
    ) -> datetime | None:
        wanted = tuple(lanes)
        rows = [d for d in self.delivery_rows.values() if d.lane in wanted and d.pool in pools]
        due = [d.next_attempt_at for d in rows if d.state == "due"]
        due += [self.leases[d.id][1] for d in rows if d.state == "leased"]
        return min(due, default=None)

    def stored_for_later(self, account: AccountName, now: datetime) -> int:
        unfinished = {d.submission_id for d in self.delivery_rows.values() if not d.state.is_final}
        return sum(
            max(each.size, LEAST_COUNTED)
            for each in self.submission_rows.values()
            if each.account == account
            and each.id in unfinished
            and each.release_at
            and each.release_at > now
        )

    def notices_due(self, *, limit: int, after: DueNotice | None = None) -> list[DueNotice]:
        rows = []
        kinds = list(NoticeKind)
        owed = sorted(self.notices, key=lambda each: (each[0], kinds.index(each[1])))
        if after is not None:
            place = (after.delivery.id, kinds.index(after.kind))
            owed = [each for each in owed if (each[0], kinds.index(each[1])) > place]
        for identifier, kind in owed[:limit]:
            delivery = self.delivery_rows[identifier]
            rows.append(DueNotice(delivery, self.submission_rows[delivery.submission_id], kind))
        return rows

    def submission(self, submission_id: SubmissionId) -> Submission | None:
        return self.submission_rows.get(submission_id)

    # -- changing

    def add_deliveries(
        self, submission: Submission, deliveries: Sequence[Delivery], lease: Lease | None = None
    ) -> list[Leased]:
        if submission.id in self.submission_rows:
            return []
        self.submission_rows[submission.id] = submission
        for delivery in deliveries:
            self.delivery_rows[delivery.id] = delivery
        due = [d.id for d in deliveries if d.state is DeliveryState.DUE]
        return [self._lease(i, lease) for i in due] if lease else []

    def lease_due(
        self,
        now: datetime,
        lease: Lease,
        *,
        limit: int,
        within: Mapping[Lane, int] | None = None,
        ended: bool = True,
    ) -> list[Leased]:
        self.calls.append(("lease_due", limit))
        ready: dict[Lane, list[DeliveryId]] = {lane: [] for lane in LANES}
        for d in sorted(self.delivery_rows.values(), key=lambda d: d.next_attempt_at):
            is_due = d.state is DeliveryState.DUE and d.next_attempt_at <= now
            is_left = ended and d.state is DeliveryState.LEASED and self.leases[d.id][1] <= now
            if (is_due or is_left) and d.pool in lease.pools:
                ready[d.lane].append(d.id)
        room = {lane: limit if within is None else within.get(lane, 0) for lane in LANES}
        dealt = deal(limit, {lane: min(len(ids), room[lane]) for lane, ids in ready.items()})
        ids = [i for lane in LANES for i in ready[lane][: dealt[lane]]]
        return [self._lease(i, lease) for i in ids]

    def due_accounts(
        self, line: Line, now: datetime, *, after: str | None, limit: int, enough: int
    ) -> Walked:
        waiting = [(self._account_of(d), d.next_attempt_at <= now) for d in self._standing_in(line)]
        return _walked(waiting, after, limit, enough)

    def due_destinations(
        self, line: Line, account: str, now: datetime, *, after: str | None, limit: int, enough: int
    ) -> Walked:
        waiting = [
            (d.destination, d.next_attempt_at <= now)
            for d in self._standing_in(line)
            if self._account_of(d) == account
        ]
        return _walked(waiting, after, limit, enough)

    def _account_of(self, delivery: Delivery) -> str:
        return delivery.account or self.submission_rows[delivery.submission_id].account or ""

    def _standing_in(self, line: Line) -> list[Delivery]:
        rows = [
            d
            for d in self.delivery_rows.values()
            if d.state is DeliveryState.DUE and (d.lane, d.pool) == (line.lane, line.pool)
        ]
        return sorted(rows, key=lambda d: d.next_attempt_at)

    def lease_turns(self, now: datetime, lease: Lease, turns: Sequence[Turn]) -> list[Leased]:
        leased = []
        for turn in turns:
            due = [
                d.id
                for d in self._standing_in(turn.line)
                if d.next_attempt_at <= now
                and self._account_of(d) == turn.account
                and turn.destination in (None, d.destination)
            ]
            leased += [self._lease(i, lease) for i in due[: turn.count]]
        return leased

    def lease_ended(
        self, now: datetime, lease: Lease, *, limit: int, within: Mapping[Lane, int]
    ) -> list[Leased]:
        rows = self.delivery_rows.values()
        ended = [
            d.id
            for d in rows
            if d.state == "leased" and self.leases[d.id][1] <= now and d.pool in lease.pools
        ]
        return [self._lease(i, lease) for i in ended[:limit]]

    def begin_attempts(self, held: Iterable[Held]) -> set[DeliveryId]:
        ours = [h.id for h in held if self._holds(h)]
        self.calls.append(("begin_attempts", len(ours)))
        for identifier in ours:
            row = self.delivery_rows[identifier]
            self.delivery_rows[identifier] = replace(row, attempts=row.attempts + 1)
        return set(ours)

    def renew(self, held: Iterable[Held], until: datetime) -> set[DeliveryId]:
        ours = [h for h in held if self._holds(h)]
        self.calls.append(("renew", len(ours)))
        for h in ours:
            self.leases[h.id] = (h.fence, until)
        return {h.id for h in ours}

    def give_back(self, held: Iterable[Held], at: datetime, reason: str) -> None:
        for h in held:
            if self._holds(h):
                self._change(h.id, DeliveryState.DUE, next_attempt_at=at, reason=reason)

    def settle(self, settlements: Iterable[Settlement]) -> set[DeliveryId]:
        ours = set()
        settlements = list(settlements)
        self.calls.append(("settle", len(settlements)))
        for s in settlements:
            if not self._holds(s.held) and not self._was_delivered(s):
                continue
            ours.add(s.held.id)
            row = self.delivery_rows[s.held.id]
            self._change(
                s.held.id,
                s.state,
                last_outcome=s.outcome,
                reason=s.reason,
                next_attempt_at=s.next_attempt_at or row.next_attempt_at,
                warned=row.warned or s.notice is NoticeKind.WARNING,
            )
            self.event_rows.extend(s.events)
            if s.notice is not None:
                self.notices[s.held.id, s.notice] = None
        return ours

    def free_leases(self, worker_prefix: str) -> int:
        held = [
            row.id
            for row in self.delivery_rows.values()
            if row.state is DeliveryState.LEASED and self.holders[row.id].startswith(worker_prefix)
        ]
        for identifier in held:
            self._change(identifier, DeliveryState.DUE)
        return len(held)

    def hasten(self, later_than: datetime, at: datetime) -> int:
        late = [
            row.id
            for row in self.delivery_rows.values()
            if row.state is DeliveryState.DUE and row.attempts and row.next_attempt_at > later_than
        ]
        for identifier in late:
            self._change(identifier, DeliveryState.DUE, next_attempt_at=at)
        return len(late)

    def clear_notice(self, delivery_id: DeliveryId, kind: NoticeKind) -> bool:
        return self.notices.pop((delivery_id, kind), self) is None

    def add_events(self, events: Iterable[Event]) -> None:
        self.event_rows.extend(events)

    def take_away(self, identifier: DeliveryId) -> None:
        """Let a neighbour take a lease."""
        self.fence += 1
        self.leases[identifier] = (self.fence, self.leases[identifier][1])

    def _lease(self, identifier: DeliveryId, lease: Lease) -> Leased:
        self.fence += 1
        self.leases[identifier] = (self.fence, lease.until)
        self.holders[identifier] = lease.worker
        row = self.delivery_rows[identifier]
        self._change(identifier, DeliveryState.LEASED, leases=row.leases + 1)
        row = self.delivery_rows[identifier]
        return Leased(row, self.submission_rows[row.submission_id], self.fence)

    def _holds(self, held: Held) -> bool:
        row = self.delivery_rows[held.id]
        return row.state is DeliveryState.LEASED and self.leases[held.id][0] == held.fence

    def _was_delivered(self, settlement: Settlement) -> bool:
        held = settlement.held
        waits = not self.delivery_rows[held.id].state.is_final
        unchanged = self.leases[held.id][0] == held.fence
        return settlement.state is DeliveryState.DELIVERED and waits and unchanged

    def _change(self, identifier: DeliveryId, state: DeliveryState, **more: Any) -> None:
        row = self.delivery_rows[identifier]
        self.delivery_rows[identifier] = replace(row, state=state, **more)


class MemoryStore:
    """The part of `Store` that deliveries need."""

    def __init__(self) -> None:
        self.tables = MemoryTransaction()
        self.away = False
        self.version = 0
        self._changed = asyncio.Condition()

    async def write(
        self,
        job: Callable[[Any], Any],
        content: tuple[SubmissionId, Sequence[bytes]] | None = None,
        envelope: object = None,
    ) -> Any:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("away")
        if content is not None:
            self.tables.contents[content[0]] = b"".join(content[1])
        result = job(self.tables)
        async with self._changed:
            self._changed.notify_all()
        return result

    async def read(self, query: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("away")
        return query(self.tables)

    async def data_version(self) -> int:
        return self.version

    async def until(self, holds: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait for a condition on what was written."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(holds)

    def kinds(self) -> list[EventKind]:
        return [e.kind for e in self.tables.event_rows]


def _walked(
    waiting: Iterable[tuple[str, bool]], after: str | None, limit: int, enough: int
) -> Walked:
    names: dict[str, bool] = {}
    for name, is_due in sorted(waiting):
        names[name] = names.get(name, False) or is_due
    looked_at: list[str] = []
    due: list[str] = []
    for name, is_due in names.items():
        if after is None or name > after:
            looked_at.append(name)
            due += [name] * is_due
            if len(looked_at) == limit or len(due) == enough:
                return Walked(tuple(due), name)
    return Walked(tuple(due), None)
