"""Leases of what is delivered: taken, kept, lost, given back; a store that is away."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.model.settings import RetrySettings
from gatepost.net.clock import now
from gatepost.store.leases import Lease
from gatepost.store.protocols import StoreUnavailableError
from tests.delivery.rig import CONTENT, Rig, one_mx
from tests.memory_store import MemoryStore
from tests.sink import Sink

DELIVERED, DUE = DeliveryState.DELIVERED, DeliveryState.DUE


async def test_due_mail_is_found_without_a_hand_over(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example", hand_over=False), DELIVERED)
        assert sink.messages[0].content == CONTENT


async def test_no_more_is_held_than_there_is_room_for(sink: Sink) -> None:
    sink.go.clear()
    bounds = Bounds(held=5, connections_per_site=1, claim=1, look=0.02)
    async with Rig(sink.port, bounds=bounds) as rig:
        one_mx(rig)
        sent = [await rig.submit(f"r{n}@y.example") for n in range(12)]
        await sink.until(lambda: sink.sessions == 1)
        assert rig.scheduler.held == 5
        assert not rig.scheduler.room()
        sink.go.set()
        await rig.until_state([i for ids in sent for i in ids], DELIVERED)
        assert len(sink.messages) == 12


async def test_content_beyond_the_memory_for_it_is_read_again(sink: Sink) -> None:
    async with Rig(sink.port, bounds=Bounds(content=10, look=0.02)) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert sink.messages[0].content == CONTENT


async def test_a_delivery_whose_lease_was_lost_is_not_attempted(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(connections_per_site=1, claim=1, look=0.02)) as rig:
        one_mx(rig)
        first = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        (second,) = await rig.submit("c@y.example")
        rig.store.tables.take_away(second)
        sink.go.set()
        await rig.until_state(first, DELIVERED)
        await rig.until_state(await rig.submit("d@y.example"), DELIVERED)
        assert [m.forward_paths for m in sink.messages] == [["b@y.example"], ["d@y.example"]]


async def test_leases_are_renewed_while_they_are_needed(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(renew_after=0.1, look=0.02)) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example")
        await rig.store.until(lambda: ("renew", 1) in rig.store.tables.calls)
        sink.go.set()
        await rig.until_state([one], DELIVERED)


async def test_no_final_dot_while_neighbours_may_have_taken_over(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(look=0.02)) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        rig.heard = False
        sink.go.set()
        await rig.store.until(lambda: EventKind.DEFERRED in rig.store.kinds())
        assert not sink.messages
        rig.heard = True
        await rig.until_state([one], DELIVERED)
        assert len(sink.messages) == 1


async def test_a_lease_in_doubt_ends_with_no_final_dot_until_the_store_has_spoken(
    sink: Sink,
) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(look=0.02)) as rig:
        one_mx(rig)
        (ours,), (theirs,) = [await rig.submit(f"{name}@y.example") for name in "bc"]
        await rig.until_attempted(ours)
        await rig.until_attempted(theirs)
        rig.store.tables.take_away(theirs)
        rig.scheduler.doubt()
        await rig.store.until(lambda: ("renew", 1) in rig.store.tables.calls)
        sink.go.set()
        await rig.until_state([ours], DELIVERED)
        await rig.store.until(lambda: rig.scheduler.held == 0)
        assert [m.forward_paths for m in sink.messages] == [["b@y.example"]]


async def test_stopping_gives_back_what_waits(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(connections_per_site=1, claim=1, look=0.02)) as rig:
        one_mx(rig)
        sent = [await rig.submit(f"r{n}@y.example") for n in range(4)]
        await sink.until(lambda: sink.sessions == 1)
        await rig.scheduler.stop(0.1)
        rows = [rig.row(ids[0]) for ids in sent]
        assert {r.state for r in rows} == {DUE}
        assert sorted(r.attempts for r in rows) == [0, 0, 0, 1]
        assert rig.scheduler.held == 0


async def test_stopping_behind_a_final_dot_sends_no_second_copy_at_once(sink: Sink) -> None:
    late = RetrySettings(first=timedelta(minutes=5), longest=timedelta(hours=1))
    async with Rig(sink.port, retry=late) as rig:
        one_mx(rig)
        sink.go_at_dot.clear()
        (one,) = await rig.submit("b@y.example")
        await sink.until_messages(1)
        await rig.scheduler.stop(0.1)
        row = rig.row(one)
        assert (row.state, row.attempts) == (DUE, 1)
        assert row.next_attempt_at > now() + timedelta(minutes=1)
        assert row.last_outcome is not None
        assert "it may have arrived" in row.last_outcome.text
        assert rig.scheduler.held == 0
        sink.go_at_dot.set()


class Unreadable(MemoryStore):
    """Counts attempts, and cannot read contents while `unreadable`."""

    unreadable = True

    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if self.unreadable and isinstance(found, dict) and found:
            raise StoreUnavailableError("away")
        return found


async def test_an_attempt_without_content_is_none(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.delivery.scheduler._SHORT_PAUSE", timedelta(milliseconds=20))
    store = Unreadable()
    async with Rig(sink.port, store=store) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example", hand_over=False)
        await store.until(lambda: rig.row(one).leases >= 3)
        assert rig.row(one).attempts <= 1
        store.unreadable = False
        (row,) = await rig.until_state([one], DELIVERED)
        assert row.attempts == 1


class SlowToLease(MemoryStore):
    """Leases what is due only when `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def write(self, job: Any, content: Any = None, envelope: Any = None) -> Any:
        if content is None and not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return await super().write(job, content, envelope)


async def test_what_is_leased_while_the_worker_stops_is_given_back(sink: Sink) -> None:
    store = SlowToLease()
    async with Rig(sink.port, store=store) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example", hand_over=False)
        await store.asked.wait()
        await rig.scheduler.stop(0.1)
        store.go.set()
        await asyncio.wait_for(rig.tasks[0], 30)  # as the worker waits before it closes the store
        assert (rig.row(one).state, rig.row(one).leases, rig.row(one).attempts) == (DUE, 1, 0)
        assert rig.scheduler.held == 0


class AwayAfterLeasing(MemoryStore):
    """Leases once what is due, and is away right behind that."""

    has_leased = False

    async def write(self, job: Any, content: Any = None) -> Any:
        result = await super().write(job, content)
        leased = [row for row in self.tables.delivery_rows.values() if row.leases]
        self.away = bool(leased) and not self.has_leased
        self.has_leased = bool(leased)
        return result

    async def read(self, query: Any) -> Any:
        try:
            return await super().read(query)
        finally:
            self.away = False


async def test_what_is_leased_is_delivered_though_the_store_is_away_next(sink: Sink) -> None:
    store = AwayAfterLeasing()
    async with Rig(sink.port, store=store) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example", hand_over=False)
        await rig.until_state([one], DELIVERED)
        assert store.has_leased


async def test_what_is_handed_over_while_the_worker_stops_is_given_back(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        lease = rig.scheduler.lease()
        await rig.scheduler.stop(0.1)
        rig.scheduler.lease = lambda *_: lease  # type: ignore[method-assign]  # asked for before
        (one,) = await rig.submit("b@y.example")
        await rig.until_state([one], DUE)
        assert rig.row(one).attempts == 0
        assert rig.scheduler.held == 0


@pytest.mark.parametrize(("leapt", "takes_over"), [(True, True), (False, False)])
async def test_when_time_leapt_or_the_store_was_away_no_lease_of_a_neighbour_is_taken_for_ended(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, *, leapt: bool, takes_over: bool
) -> None:
    async with Rig(sink.port, leapt=leapt, takes_over=takes_over) as rig:
        one_mx(rig)
        with monkeypatch.context() as neighbour:
            theirs = Lease(WorkerId("node/boot/1"), now() - timedelta(minutes=1))
            neighbour.setattr(rig.scheduler, "lease", lambda *_: theirs)
            neighbour.setattr(rig.scheduler, "take", lambda *_: None)
            (held,) = await rig.submit("a@y.example")
        (due,) = await rig.submit("b@y.example", hand_over=False)
        await rig.until_state([due], DELIVERED)
        assert rig.row(held).state is DeliveryState.LEASED
        rig.leapt, rig.takes_over = False, True
        rig.scheduler.look()
        await rig.until_state([held], DELIVERED)


async def test_what_is_delivered_is_written_before_its_ended_lease_is_taken(sink: Sink) -> None:
    """The store is away for longer than a lease; when it is back, all ask it at once."""
    async with Rig(sink.port) as rig:
        one_mx(rig)
        sink.go.clear()
        (way,) = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        rig.store.away = True
        sink.go.set()
        await sink.until_messages(1)
        async with asyncio.timeout(30):
            while not rig.settler.is_kept_waiting:
                await asyncio.sleep(0.01)
        fence, _ = rig.store.tables.leases[way]
        rig.store.tables.leases[way] = (fence, now() - timedelta(seconds=1))
        rig.scheduler.look()
        rig.store.away = False
        await rig.until_state([way], DELIVERED)
        assert not rig.settler.is_kept_waiting
        assert rig.row(way).leases == 1
        assert len(sink.messages) == 1


async def test_outcomes_wait_for_a_store_that_is_away(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        sink.go.clear()
        (one,) = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        rig.store.away = True
        sink.go.set()
        await sink.until_messages(1)
        rig.store.away = False
        await rig.until_state([one], DELIVERED)
        assert len(sink.messages) == 1


async def test_what_a_slow_site_holds_too_much_of_is_given_back(sink: Sink) -> None:
    sink.go.clear()
    bounds = Bounds(held=120, connections_per_site=1, claim=1, fairness=0.05, look=0.02)
    async with Rig(sink.port, bounds=bounds) as rig:
        for n in range(120):  # many destinations, one site
            rig.mx(f"y{n}.example", (10, "mx.y.example", "127.0.0.1"))
        async with Sink(host="127.0.0.2", port=sink.port) as quick:
            rig.mx("z.example", (10, "mx.z.example", "127.0.0.2"))
            for n in range(120):
                await rig.submit(f"r@y{n}.example")
            await rig.until_state(await rig.submit("b@z.example"), DELIVERED)
            assert len(quick.messages) == 1
        waiting = [d for d in rig.store.tables.delivery_rows.values() if d.state is DUE]
        assert waiting[0].reason == "waits for its turn at mx.y.example"
        assert {d.attempts for d in waiting} == {0}
        await rig.scheduler.stop(0.05)


async def test_a_burst_shares_its_writes(sink: Sink) -> None:
    async with Rig(sink.port, bounds=replace(Bounds(), look=0.02)) as rig:
        one_mx(rig)
        sent = await asyncio.gather(*(rig.submit(f"r{n}@y.example") for n in range(200)))
        await rig.until_state([i for ids in sent for i in ids], DELIVERED)
        calls = [name for name, _ in rig.store.tables.calls]
        assert calls.count("begin_attempts") < 100
        assert calls.count("settle") < 100
        assert len(sink.messages) == 200
