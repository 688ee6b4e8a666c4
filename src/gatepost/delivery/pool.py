"""Who serves a site from a source: a bounded number of connections to it, each one task. Providers count by source address, so whatever is bounded is so for each.

Connections appear while parcels wait and the bounds allow it, take parcels until nothing is left,
wait a while for more, and go. Nothing here belongs to one message: no task, no timer.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from operator import itemgetter

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.site import Site
from gatepost.delivery.site_queue import SiteQueue, WaitingRoom
from gatepost.model.source import Source

#: Serves one connection of a site until there is nothing left to do.
Serve = Callable[[SiteQueue], Coroutine[None, None, None]]


class Pool:
    """All sites that this worker has to do with, once for each source.

    Args:
        bounds: see there.
        serve: what a connection's task runs.
        place_anew: told of parcels that were put back where nobody serves any more.

    """

    def __init__(
        self,
        bounds: Bounds,
        serve: Serve,
        place_anew: Callable[[Site, Sequence[Parcel]], None] = lambda *_: None,
    ) -> None:
        self._bounds = bounds
        self._serve = serve
        self._place_anew = place_anew
        self._sites: dict[str, SiteQueue] = {}
        self._retired: set[SiteQueue] = set()
        self._connections = 0
        self._waiting_room = WaitingRoom()

    @property
    def connections(self) -> int:
        """How many connections' tasks there are."""
        return self._connections

    def add(
        self,
        site: Site,
        item: Item,
        pieces: Sequence[bytes] | None,
        source: Source | None = None,
    ) -> Parcel | None:
        """Queue one delivery for a site, to leave from a source; return the parcel, if it began one."""
        key = _key(site, source)
        queue = self._sites.get(key)
        if queue is None:
            queue = self._sites[key] = SiteQueue(site, self._bounds, source, self._waiting_room)
        elif not queue.tasks:
            queue.site = site  # hosts as they are now
        parcel = queue.add(item, pieces)
        self.rouse(queue)
        return parcel

    def rouse(self, queue: SiteQueue) -> None:
        """See to it that what waits is served: wake a connection, or make one."""
        if not len(queue) or queue.wake():
            return
        if len(queue.tasks) >= queue.most or len(queue) <= queue.dialling * 2:
            return
        if self._connections >= self._bounds.connections:
            self._wait_for_room(queue)
            return
        self._waiting_room.leave(queue)
        self._connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(queue))
        queue.tasks.add(task)
        task.add_done_callback(lambda t: self._ended(queue, t))

    def end_idle(self, now: float) -> None:
        """Send home idle connections; `now` in loop time."""
        for queue in list(self._sites.values()):
            queue.end_idle(now)
        self._waiting_room.forget_sent()
        self._use_room()
        self._send_home_idle()

    def retire(
        self, may_use: Callable[[Source], bool], missing: Callable[[str], bool]
    ) -> list[tuple[Site, Parcel]]:
        """Let no connection take on more that comes from a source which may not be used any more,
        and drop those from addresses that are missing; return what waits there, with its site.
        """
        waiting: list[tuple[Site, Parcel]] = []
        for key, queue in list(self._sites.items()):
            if queue.source is None or may_use(queue.source):
                continue
            queue.closing = queue.retired = True
            waiting += ((queue.site, parcel) for parcel in queue.claim_all())
            queue.end_idle(float("inf"))
            del self._sites[key]
            for link in queue.links:
                link.leave(missing)
            if queue.tasks:
                self._retired.add(queue)
        return waiting

    def slow_sites(self, least: int) -> list[tuple[SiteQueue, int]]:
        """Return sites that hold more than they will send soon, and how many parcels too many.

        Too many is more than three times what went since the last look; `least` may always wait,
        and what is new has not been slow yet.
        """
        found = []
        for queue in self._sites.values():
            surplus = len(queue) - max(least, 3 * queue.taken_lately)
            was_here, queue.looked_at, queue.taken_lately = queue.looked_at, True, 0
            if surplus > 0 and was_here:
                found.append((queue, surplus))
        return found

    def close(self) -> list[Parcel]:
        """Let no connection take on more; return what waits."""
        waiting: list[Parcel] = []
        for queue in self._sites.values():
            queue.closing = True
            waiting.extend(queue.claim_all())
            queue.end_idle(float("inf"))
        return waiting

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks of all connections."""
        queues = (*self._sites.values(), *self._retired)
        return [task for queue in queues for task in queue.tasks]

    def _ended(self, queue: SiteQueue, task: asyncio.Task[None]) -> None:
        self._connections -= 1
        queue.tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a delivery task failed", "exception": fault, "task": task}
            )
        if len(queue) and not queue.closing:
            # What came while it took its leave; or it gave way: then others go first.
            self._waiting_room.enter(queue)
        elif queue.retired and not queue.tasks:
            self._retired.discard(queue)
            self._place_anew(queue.site, queue.claim_all())
        elif queue.is_deserted:
            self._sites.pop(_key(queue.site, queue.source), None)
        self._waiting_room.one_ended()
        self._use_room()

    # -- when there are as many connections as may be

    def _wait_for_room(self, queue: SiteQueue) -> None:
        if self._waiting_room.enter(queue):
            self._send_home_idle()

    def _use_room(self) -> None:
        """Serve who waits for room, as far as there is some."""
        while self._waiting_room and self._connections < self._bounds.connections:
            self.rouse(self._waiting_room.take_first())

    def _send_home_idle(self) -> None:
        """Let those that have been idle longest make room, at whichever site."""
        while self._waiting_room:
            idle = [(q.idle_until, q) for q in self._waiting_room.idlers]
            longest = min(
                ((at, q) for at, q in idle if at is not None), key=itemgetter(0), default=None
            )
            if longest is None or not self._waiting_room.sends_home():
                return
            at, queue = longest
            queue.end_idle(at)


def _key(site: Site, source: Source | None) -> str:
    return site.key if source is None else f"{site.key} from {source.key}"
