"""Counts attempts durably before they are made (decision 10), many in one commit."""

import asyncio
from collections.abc import Sequence

from gatepost.model.ids import DeliveryId
from gatepost.store.leases import Held
from gatepost.store.protocols import Store


class Attempts:
    """Callers that come while a write is under way share the next one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Sequence[Held], asyncio.Future[set[DeliveryId]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def begin(self, held: Sequence[Held]) -> set[DeliveryId]:
        """Count one attempt for each; return those that are still ours to attempt.

        Raises:
            StoreUnavailableError: nothing was counted, so nothing may be tried.

        """
        if not held:
            return set()
        loop = asyncio.get_running_loop()
        counted: asyncio.Future[set[DeliveryId]] = loop.create_future()
        self._waiting.append((held, counted))
        if self._task is None:
            self._task = loop.create_task(self._write_all())
        return await counted

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            self._task = None

    async def _write(
        self, batch: list[tuple[Sequence[Held], asyncio.Future[set[DeliveryId]]]]
    ) -> None:
        everybody = [held for group, _ in batch for held in group]
        try:
            ours = await self._store.write(
                lambda transaction: transaction.begin_attempts(everybody)
            )
        except Exception as trouble:  # noqa: BLE001 - the top of a task; the callers hear it
            for _, counted in batch:
                if not counted.done():
                    counted.set_exception(trouble)
            return
        for _, counted in batch:
            if not counted.done():
                counted.set_result(ours)
