"""Outcomes that a store does not take."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gatepost.model.delivery import DeliveryState, Leased
from gatepost.model.ids import DeliveryId
from gatepost.model.settings import RetrySettings
from gatepost.returns.settle import Settler
from gatepost.returns.settlement import Result
from gatepost.store.protocols import Settlement
from tests.memory_store import MemoryStore, MemoryTransaction
from tests.store.makers import ACCEPTED, LATER, NOON, REFUSED, delivery, lease, submission


class ChoosyTables(MemoryTransaction):
    """Take no batch with certain outcomes in it."""

    def __init__(self, poison: Callable[[Settlement], bool]) -> None:
        super().__init__()
        self._poison = poison

    def settle(self, settlements: Iterable[Settlement]) -> set[DeliveryId]:
        batch = list(settlements)
        if any(map(self._poison, batch)):
            raise ValueError("untranslatable character")
        return super().settle(batch)


class Choosy(MemoryStore):
    """A store of them."""

    def __init__(self, poison: Callable[[Settlement], bool]) -> None:
        super().__init__()
        self.tables = ChoosyTables(poison)


async def leased(store: MemoryStore, count: int) -> list[Leased]:
    message = submission()
    ways = [
        delivery(message, f"u{n}@y.example", expires_at=NOON + timedelta(days=5))
        for n in range(count)
    ]
    found: list[Leased] = await store.write(lambda t: t.add_deliveries(message, ways, lease()))
    return found


def settler(store: MemoryStore) -> Settler:
    return Settler(store, RetrySettings(), now=lambda: NOON, spread=lambda: 0.5)


@pytest.mark.parametrize("outcome", [LATER, REFUSED, ACCEPTED])
async def test_one_outcome_that_cannot_be_written_takes_no_other_with_it(outcome: Any) -> None:
    words = "\u043f\u043e\u0437\u0436\u0435"
    store = Choosy(lambda s: s.outcome is not None and s.outcome.text == words)
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: told.append(c["message"]))
    rows = await leased(store, 20)
    mine = settler(store)
    for number, one in enumerate(rows):
        mine.settle(Result(one, replace(outcome, text=words) if number == 7 else ACCEPTED))
    await mine.flush()
    found = [store.tables.delivery_rows[one.delivery.id] for one in rows]
    assert [row.state for row in found].count(DeliveryState.DELIVERED) >= 19
    assert found[7].state in {
        DeliveryState.DUE, DeliveryState.REFUSED, DeliveryState.DELIVERED,
    }  # fmt: skip
    assert found[7].last_outcome is not None
    assert found[7].last_outcome.kind is outcome.kind
    assert found[7].last_outcome.code == outcome.code
    assert words not in str(found[7])
    assert not [event for event in store.tables.event_rows if words in str(event)]
    assert len(told) == 1


async def test_what_cannot_be_written_at_all_is_let_go_alone() -> None:
    rows: list[Leased] = []
    store = Choosy(lambda s: s.held.id == rows[3].delivery.id)
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: told.append(c["message"]))
    rows += await leased(store, 6)
    mine, let_go = settler(store), []

    def heard(settlements: Sequence[Settlement], ours: set[DeliveryId]) -> None:
        let_go.extend(s.held.id for s in settlements if s.held.id not in ours)

    mine.listen(heard)
    for one in rows:
        mine.settle(Result(one, ACCEPTED))
    await mine.flush()
    assert let_go == [rows[3].delivery.id]
    states = [store.tables.delivery_rows[one.delivery.id].state for one in rows]
    assert states.count(DeliveryState.DELIVERED) == 5
    assert states[3] is DeliveryState.LEASED
