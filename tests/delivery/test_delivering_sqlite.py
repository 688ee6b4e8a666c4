"""The same rooms over the store that lasts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import DeliveryId, WorkerId
from gatepost.net.clock import now
from gatepost.store.protocols import Settlement
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import open_sqlite
from tests.delivery.rig import CONTENT, Rig
from tests.sink import Sink


async def test_deliveries_over_sqlite(tmp_path: Path) -> None:
    """Delivered, deferred and then delivered, refused and returned."""
    store = await open_sqlite(tmp_path, WorkerId("node/boot/0"))
    script = {"RCPT": ["450 4.2.0 later"]}
    refuse = {"c@y.example": "550 5.1.1 no"}
    async with Sink(script, refuse=refuse) as sink, Rig(sink.port, store=store) as rig:
        ended, all_ended = [], asyncio.Event()

        def heard(settlements: Sequence[Settlement], _: set[DeliveryId]) -> None:
            ended.extend(s for s in settlements if s.state.is_final)
            if len(ended) == 3:
                all_ended.set()

        rig.settler.listen(heard)
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        await rig.submit("b@y.example")
        await rig.submit("c@y.example")
        await rig.submit("d@y.example", hand_over=False)
        async with asyncio.timeout(30):
            await all_ended.wait()
            await rig.returned.wait()
        assert b"550 5.1.1 no" in rig.returns[0].content
        which = QueueFilter(states=tuple(s for s in DeliveryState if s.is_final))
        rows = await store.read(lambda s: s.deliveries(which, limit=10))
        states = {r.delivery.forward_path: r.delivery.state for r in rows}
        assert states == {
            "b@y.example": DeliveryState.DELIVERED,
            "c@y.example": DeliveryState.REFUSED,
            "d@y.example": DeliveryState.DELIVERED,
        }
        assert {m.content for m in sink.messages} == {CONTENT}
        assert sorted(r.delivery.attempts for r in rows) == [1, 1, 2]
    await store.close()


@pytest.mark.parametrize("to", [DeliveryState.HELD, DeliveryState.CANCELLED])
async def test_what_a_next_hop_took_while_it_was_held_or_cancelled_goes_once(
    tmp_path: Path, to: DeliveryState
) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/boot/0"))
    async with Sink() as sink, Rig(sink.port, store=store) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        sink.go_at_dot.clear()
        (one,) = await rig.submit("b@y.example")
        await sink.until_messages(1)
        live = (DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.HELD)
        changed = await store.write(lambda t: t.change_queue([one], live, to, now()))
        assert changed == [one]
        sink.go_at_dot.set()
        states: set[DeliveryState] = set()
        async with asyncio.timeout(30):
            while states != {DeliveryState.DELIVERED}:
                await asyncio.sleep(0.02)
                rows = await store.read(lambda s: s.deliveries(QueueFilter(id=one), limit=2))
                states = {row.delivery.state for row in rows}
        due = (DeliveryState.DUE, now())
        assert await store.write(lambda t: t.change_queue([one], live, *due)) == []
        events = await store.read(lambda s: s.events())
        assert [e.event.kind for e in events].count(EventKind.DELIVERED) == 1
        assert len(sink.messages) == 1
    await store.close()
