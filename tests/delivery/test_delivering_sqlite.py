"""The same rooms over the store that lasts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import DeliveryId, WorkerId
from gatepost.store.protocols import QueueFilter, Settlement
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
