"""Room 8: delivered, next attempt, or a return to the sender, written with its events.

Results that come while a write is under way go together in the next one: one commit for as many
deliveries as ended meanwhile, and no task for any of them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from gatepost.model.delivery import DeliveryState, Leased
from gatepost.model.ids import DeliveryId
from gatepost.model.settings import RetrySettings
from gatepost.queue.expiry import is_delay_notice_due
from gatepost.returns.settlement import Result, settlement, without_words
from gatepost.returns.suppression import with_suppression
from gatepost.store.protocols import Settlement, Store, StoreUnavailableError
from gatepost.wire.values import changed

#: Told what was written.
Listener = Callable[[Sequence[Settlement], set[DeliveryId]], None]

_log = logging.getLogger(__name__)

#: So long between tries while the store is away, in seconds; outcomes wait in memory.
_STORE_PAUSE = 0.5
#: So many settlements in one job, lest the writer's batch grow without bound.
_MOST_AT_ONCE = 500


class Settler:
    """Writes results, batched.

    Args:
        store: where to.
        settings: `[retry]`.
        now: the time, UTC.
        spread: a new number from 0.0 to 1.0 at each call.
        suppresses: recipients that are refused as invalid are suppressed.

    """

    def __init__(
        self,
        store: Store,
        settings: RetrySettings,
        *,
        now: Callable[[], datetime],
        spread: Callable[[], float],
        suppresses: bool = False,
    ) -> None:
        self._store = store
        self._settings = settings
        self._now = now
        self._spread = spread
        self._suppresses = suppresses
        self._waiting: list[Settlement] = []
        self._writing = 0
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Listener] = []
        #: The store is away, and has not been told of all outcomes.
        self.is_kept_waiting = False

    def listen(self, listener: Listener) -> None:
        """Have `listener` told the settlements that were written, and whose lease was still ours."""
        self._listeners.append(listener)

    def __len__(self) -> int:
        return len(self._waiting) + self._writing

    def is_late(self, leased: Leased) -> bool:
        """Tell whether a delivery's sender would hear of another deferral, or its time is over."""
        at = self._now()
        delivery, submission = leased.delivery, leased.submission
        return delivery.expires_at <= at or is_delay_notice_due(
            delivery, submission, at, self._settings
        )

    def settle(self, result: Result) -> None:
        """Take one result; it is written soon. Returns at once."""
        at = self._now()
        made = settlement(result, at, self._settings, self._spread())
        self._waiting.append(with_suppression(made, result, at) if self._suppresses else made)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def flush(self) -> None:
        """Return when all that was settled so far is durable."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[: len(batch)]
                self._writing = len(batch)
                await self._write_apart(batch)
                self._writing = 0
                self.is_kept_waiting = False
        finally:
            self._task = None

    async def _write_apart(self, batch: list[Settlement]) -> None:
        """Write outcomes; one that cannot be written takes no other with it, and is written without
        what others said, so that nothing is sent twice for their words."""
        try:
            await self._write(batch)
        except Exception as fault:  # noqa: BLE001 - the top of a task: our own fault
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._write_apart(batch[:middle])
                await self._write_apart(batch[middle:])
                return
            _tell_fault(batch[0], fault)
        else:
            return
        try:
            await self._write([without_words(batch[0])])
        except Exception as fault:  # noqa: BLE001 - the top of a task: our own fault
            _tell_fault(batch[0], fault)
            self._give_up(batch)

    def _give_up(self, batch: list[Settlement]) -> None:
        """Let go of outcomes that cannot be written: their leases end, and they are tried again."""
        for listener in self._listeners:
            listener([changed(s, state=DeliveryState.LEASED) for s in batch], set())

    async def _write(self, batch: list[Settlement]) -> None:
        while True:
            try:
                ours = await self._store.write(lambda transaction: transaction.settle(batch))
            except StoreUnavailableError as trouble:
                _log.warning(
                    "outcomes of %d deliveries wait for the store: %s", len(batch), trouble
                )
                self.is_kept_waiting = True
                await asyncio.sleep(_STORE_PAUSE)
            else:
                break
        if len(ours) < len(batch):
            _log.info("%d deliveries were no longer ours to settle", len(batch) - len(ours))
        for listener in self._listeners:
            listener(batch, ours)


def _tell_fault(one: Settlement, fault: Exception) -> None:
    message = f"the outcome of delivery {one.held.id} was not written"
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": fault})


def earliest_retry(settlements: Sequence[Settlement]) -> datetime | None:
    """Return when the first of those that are to be tried again falls due."""
    times = [
        s.next_attempt_at
        for s in settlements
        if s.state is DeliveryState.DUE and s.next_attempt_at is not None
    ]
    return min(times, default=None)
