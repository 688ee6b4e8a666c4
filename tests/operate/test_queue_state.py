"""How the queue stands: what waits too long, in which lane, whatever its pool."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import WorkerId
from gatepost.model.lane import Lane
from gatepost.operate.queue_state import QueueState, queue_state
from gatepost.store.protocols import Store
from gatepost.store.sqlite import open_sqlite
from tests.store.makers import CONTENT, NOON, delivery, submission

NONE = timedelta(0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_sqlite(tmp_path, WorkerId("node/0/1/"))
    yield opened
    await opened.close()


async def put(store: Store, **changes: object) -> None:
    message = submission()
    way = replace(delivery(message, "x@y.example"), **changes)
    await store.write(lambda tx: tx.add_deliveries(message, [way]), (message.id, (CONTENT,)))


async def look(store: Store, later: timedelta = NONE) -> QueueState:
    return await store.read(lambda reading: queue_state(reading, NOON + later))


async def test_an_empty_queue_keeps_nobody_waiting(store: Store):
    state = await look(store)
    assert (set(state.overdue.values()), state.oldest) == ({NONE}, NONE)
    assert set(state.depth.values()) == {0}


async def test_each_lane_tells_how_long_its_first_has_waited_beyond_its_time(store: Store):
    at = NOON
    await put(store, lane=Lane.OTP, next_attempt_at=at - timedelta(minutes=3))
    await put(store, lane=Lane.OTP, next_attempt_at=at - timedelta(minutes=1))
    await put(store, lane=Lane.BULK, next_attempt_at=at - timedelta(hours=2), pool="news")
    await put(store, lane=Lane.TRANSACTIONAL, next_attempt_at=at + timedelta(hours=1))
    state = await look(store)
    minutes = {lane: round(each / timedelta(minutes=1)) for lane, each in state.overdue.items()}
    assert minutes == {Lane.OTP: 3, Lane.TRANSACTIONAL: 0, Lane.BULK: 120}


async def test_the_oldest_is_known_by_its_id_and_what_is_held_does_not_count(store: Store):
    await put(store, state=DeliveryState.HELD)
    assert (await look(store, timedelta(days=2))).oldest == NONE
    await put(store, next_attempt_at=NOON + timedelta(days=9))
    state = await look(store, timedelta(days=2))
    assert round(state.oldest / timedelta(days=1)) == 2
    assert state.depth[DeliveryState.DUE] == 1
