"""A login in clear is answered in the same time whether there is such an account or not."""

import asyncio
from typing import Any

from gatepost.node.parts import _note_exposed


async def test_nobody_waits_for_the_note() -> None:
    class Store:
        asked = 0

        async def read(self, job: object) -> None:
            Store.asked += 1
            await asyncio.sleep(3600)

    store: Any = Store()
    note = _note_exposed(store)
    async with asyncio.timeout(20):
        for _ in range(500):
            await note("app@example.com", "192.0.2.1")
    await asyncio.sleep(0)
    assert 0 < Store.asked <= 100
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # type: ignore[union-attr]
