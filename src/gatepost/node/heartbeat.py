"""Say that this worker is alive, and take over from those that are not.

Every worker announces itself in the store. Who is silent for too long is held for lost by whichever
neighbour sees it first: what it had leased falls due at once. Who finds that it was silent itself
asks the store which of its leases it still has before it acts upon any.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gatepost.model.event import Event, EventKind, Fact
from gatepost.net.clock import elapsed, follow
from gatepost.net.clock import now as local_now
from gatepost.queue.presence import EVERY, HEARD, SILENT, may_bury, steady_since
from gatepost.store.presences import Announced, Announcement, Beat, Presence
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction

_log = logging.getLogger(__name__)

#: A lost worker that never came back is shown for so long.
_SHOWN: Final = timedelta(days=1)
#: Seconds between tries while the store is away, and after an announcement that took long.
_AGAIN: Final = 1.0
#: A node's clock may be wrong by so much before its operator hears of it.
_SKEW: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Heard:
    beat: Beat
    steady: datetime
    lost: tuple[Presence, ...] = ()


class Heartbeat:
    """The announcements of one worker.

    Args:
        store: where to.
        announcement: what to say; its time is filled in.
        shared: nodes share the store, so its clock is everybody's.
        sources: from where this worker's node calls, as it is now.

    """

    def __init__(
        self,
        store: Store,
        announcement: Announcement,
        *,
        shared: bool = False,
        sources: Callable[[], tuple[Announced, ...]] = tuple,
    ) -> None:
        self._store = store
        self._sources = sources
        self._announcement = announcement
        self._shared = shared
        self._steady: datetime | None = None
        self._until = 0.0
        self._is_steady = False
        self._doubt: Callable[[], None] | None = None
        self._took_over: Callable[[], None] | None = None
        self._told_skew = False

    def on_gap(self, doubt: Callable[[], None]) -> None:
        """Have `doubt` called when neighbours may have taken over what this worker had leased."""
        self._doubt = doubt

    def on_taking_over(self, look: Callable[[], None]) -> None:
        """Have `look` called when what others had leased has fallen due."""
        self._took_over = look

    def is_heard(self) -> bool:
        """Tell whether no neighbour can hold this worker for lost yet."""
        return elapsed() < self._until

    def may_take_over(self) -> bool:
        """Tell whether a lease that has ended may be taken for one that nobody acts upon: behind a
        gap, as when the store was away, who held it has yet to say what came of it.
        """
        return self._is_steady and self.is_heard()

    async def beat(self) -> None:
        """Announce once, and take over from whom nobody hears any more.

        Raises:
            StoreUnavailableError: nobody heard.

        """
        said = replace(self._announcement, at=local_now(), sources=self._sources())
        former, began = self._steady, elapsed()
        heard = await self._store.write(lambda transaction: _announce(transaction, said, former))
        beat, ended = heard.beat, elapsed()
        if beat.was_lost:
            _log.error("neighbours held this worker for lost, and took over what it had leased")
        if self._until and (beat.was_lost or ended >= self._until) and self._doubt is not None:
            self._doubt()
        self._steady, self._until = heard.steady, began + HEARD
        self._is_steady = may_bury(heard.steady, beat)
        if self._shared:
            follow(beat.now, (began + ended) / 2)
            self._tell_skew(said.at - beat.now)
        for presence in heard.lost:
            words = "%s was not heard for %.0f s: what it had leased was taken over"
            _log.error(words, presence.worker, SILENT.total_seconds())
        if heard.lost and self._took_over is not None:
            self._took_over()

    def _tell_skew(self, ahead: timedelta) -> None:
        if abs(ahead) > _SKEW and not self._told_skew:
            self._told_skew = True
            words = (
                "this machine's clock differs from the store's by %.0f s; the store's is followed"
            )
            _log.warning(words, ahead.total_seconds())

    async def run(self) -> None:
        """Announce every few seconds, however long it takes to be heard, until cancelled."""
        while True:
            pause, began = EVERY, elapsed()
            try:
                await self.beat()
                pause = max(_AGAIN, EVERY - (elapsed() - began))
            except StoreUnavailableError as trouble:
                _log.warning("the store does not hear that this worker is alive: %s", trouble)
                pause = _AGAIN
            except Exception:  # noqa: BLE001 - the top of a task: neighbours take over from the silent
                _log.exception("nobody hears that this worker is alive: a fault of ours")
            await asyncio.sleep(pause)

    async def leave(self) -> None:
        """Say good-bye.

        Raises:
            StoreUnavailableError: nobody heard.

        """
        me = self._announcement.worker
        await self._store.write(lambda transaction: transaction.leave(me))


def _announce(transaction: Transaction, said: Announcement, former: datetime | None) -> _Heard:
    beat = transaction.beat(said)
    steady = steady_since(former, beat)
    if not may_bury(steady, beat):
        return _Heard(beat, steady)
    lost = tuple(transaction.bury(SILENT))
    for presence in lost:
        # Not its portions of quotas: paused, it may still spend them; they end by themselves.
        freed = transaction.free_leases(presence.worker)
        transaction.add_events([_lost_event(presence, freed, beat.now)])
    transaction.forget_presences(before=beat.now - _SHOWN)
    return _Heard(beat, steady, lost)


def _lost_event(presence: Presence, freed: int, at: datetime) -> Event:
    facts: dict[str, Fact] = {
        "worker": presence.worker,
        "node": presence.node,
        "silent": round((at - presence.heard_at).total_seconds(), 1),
        "deliveries": freed,
    }
    return Event(EventKind.WORKER_LOST, at, facts=facts)


class TwinError(Exception):
    """Another living node has this node's name."""


def take_seat(transaction: Transaction, name: str, home: str, *, sole: bool) -> None:
    """Begin anew as a node: free what its workers held in a former life; what anybody held, where
    it is the `sole` node of this store and may have changed its name.

    Raises:
        TwinError: the name is another's.

    """
    now = transaction.time()
    for presence in transaction.presences():
        is_alive = not presence.lost and now - presence.heard_at < SILENT
        if presence.node == name and presence.home != home and is_alive and not sole:
            raise TwinError(name)
    prefix = "" if sole else f"{name}/"
    transaction.leave(prefix)
    transaction.free_leases(prefix)
    transaction.free_quota_leases(prefix)
