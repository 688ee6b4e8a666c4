"""Pools of source addresses and pauses, in memory: what `store.pools` and `store.pauses` promise."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gatepost.model.delivery import DeliveryState, Leased
from gatepost.model.ids import DeliveryId
from gatepost.store.leases import Held, Lease
from gatepost.store.pauses import Pause
from gatepost.wire.smtp.notification import Notify


class MemoryPools:
    """The four protocols. What is mixed into it has the rows."""

    delivery_rows: dict[DeliveryId, Any]
    submission_rows: dict[Any, Any]

    @property
    def pause_rows(self) -> dict[str, Pause]:
        return self.__dict__.setdefault("_pauses", {})

    def waiting_pools(self) -> list[str]:
        due = (row for row in self.delivery_rows.values() if row.state is DeliveryState.DUE)
        return sorted({row.pool for row in due} - {""})

    def pool_depth(self) -> dict[str, dict[DeliveryState, int]]:
        depth: dict[str, dict[DeliveryState, int]] = {}
        for row in self.delivery_rows.values():
            if not row.state.is_final:
                of = depth.setdefault(row.pool, {})
                of[row.state] = of.get(row.state, 0) + 1
        return depth

    def strays(
        self, pool: str, now: datetime, *, received_before: datetime, limit: int
    ) -> list[DeliveryId]:
        def is_owed(row: Any) -> bool:
            message = self.submission_rows[row.submission_id]
            since = message.release_at or message.received_at
            hears = row.wishes.notify is None or Notify.DELAY in row.wishes.notify
            return bool(message.reverse_path) and hears and since <= received_before

        found = [
            row.id
            for row in self.delivery_rows.values()
            if row.state is DeliveryState.DUE
            and row.pool == pool
            and row.next_attempt_at <= now
            and (row.expires_at <= now or (not row.warned and is_owed(row)))
        ]
        return found[:limit]

    def lease_these(self, ids: Sequence[DeliveryId], lease: Lease) -> list[Leased]:
        rows = (self.delivery_rows[i] for i in ids if i in self.delivery_rows)
        return [self._lease(row.id, lease) for row in rows if row.state is DeliveryState.DUE]

    def withdraw_attempts(self, held: Sequence[Held]) -> None:
        for one in held:
            if self._holds(one):
                row = self.delivery_rows[one.id]
                self._change(one.id, row.state, attempts=max(row.attempts - 1, 0))

    def pauses(self) -> list[Pause]:
        return [pause for _, pause in sorted(self.pause_rows.items())]

    def put_pause(self, pause: Pause) -> None:
        self.pause_rows[pause.address] = pause

    def remove_pause(self, address: str) -> bool:
        return self.pause_rows.pop(address, None) is not None

    def _lease(self, identifier: DeliveryId, lease: Lease) -> Leased:
        raise NotImplementedError

    def _holds(self, held: Held) -> bool:
        raise NotImplementedError

    def _change(self, identifier: DeliveryId, state: DeliveryState, **more: Any) -> None:
        raise NotImplementedError
