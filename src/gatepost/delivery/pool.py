"""All sites that a worker has to do with, once for each source: a bounded number of connections to each,
each one task, and a bounded number of all. Providers count by source address.

Connections appear while parcels wait and the bounds allow it, take parcels until nothing is left,
wait a while for more, and go. Nothing here belongs to one message: no task, no timer.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from operator import itemgetter
from typing import Final

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.connection_room import Claim, Owner
from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.site import Site
from gatepost.delivery.site_queue import SiteQueue, key_of
from gatepost.delivery.waiting_room import WaitingRoom
from gatepost.model.source import Source

#: Serves one connection of a site until there is nothing left to do.
Serve = Callable[[SiteQueue], Coroutine[None, None, None]]

#: Sites that are remembered for having served us.
_MOST_KNOWN: Final = 20_000
#: So many parcels of a site are asked whose they are, where many wait.
_ASKED: Final = 500


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
        self._waiting_room = WaitingRoom(bounds, self._use_room)
        #: Sites at which a transaction has come to an end, the last one that was met behind.
        self._known: dict[str, None] = {}

    @property
    def connections(self) -> int:
        """How many connections' tasks there are."""
        return self._waiting_room.room.used

    def add(
        self,
        site: Site,
        item: Item,
        pieces: Sequence[bytes] | None,
        source: Source | None = None,
    ) -> Parcel | None:
        """Queue one delivery for a site, to leave from a source; return the parcel, if it began one."""
        key = key_of(site, source)
        queue = self._sites.get(key)
        if queue is None:
            queue = self._sites[key] = SiteQueue(site, self._bounds, source, self._waiting_room)
            queue.is_strange = queue.is_strange and key not in self._known
        else:
            queue.site = site  # hosts as they are now: one that is up may last for days
        parcel = queue.add(item, pieces)
        if not queue.wake():
            leased = item.leased
            self._open(queue, Owner(leased.account, leased.delivery.lane))
        return parcel

    def _open(self, queue: SiteQueue, owner: Owner) -> None:
        """Make a connection in somebody's name, if what waits at a site needs one more."""
        if len(queue.tasks) >= queue.most:
            queue.widen(asyncio.get_running_loop().time())
        if len(queue.tasks) >= queue.most or len(queue) <= queue.dialling * 2:
            return
        claim = Claim(owner, bool(queue.tasks), queue.is_strange)
        room = self._waiting_room.room
        if not room.has_some(claim):
            if self._waiting_room.enter(queue, claim):
                self._send_home_idle()
            return
        room.take(claim)
        task = asyncio.get_running_loop().create_task(self._serve(queue))
        queue.tasks[task] = claim
        task.add_done_callback(lambda t: self._ended(queue, t))

    def end_idle(self, now: float) -> None:
        """Send home idle connections; `now` in loop time."""
        for queue in list(self._sites.values()):
            queue.end_idle(now)
        self._waiting_room.forget_sent()
        self._use_room()
        self._send_home_idle()
        if self._waiting_room:
            for queue in (*self._sites.values(), *self._retired):
                for link in queue.links:
                    link.hurry(now)

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
        and what is new has not been slow yet. All are too many at sites without a connection that are
        far behind in an account's line for room.
        """
        found = [(queue, len(queue)) for queue in self._waiting_room.surplus(least) if len(queue)]
        for queue in list(self._sites.values()):
            if queue.is_deserted:  # since an earlier look
                self._forget(queue)
                continue
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
        self._waiting_room.room.give(queue.tasks.pop(task))
        if not task.cancelled() and (fault := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a delivery task failed", "exception": fault, "task": task}
            )
        if len(queue) and not queue.closing:
            # What came while it took its leave; or it gave way: then others go first.
            for owner in queue.owners(_ASKED):
                claim = Claim(owner, bool(queue.tasks), queue.is_strange)
                self._waiting_room.enter(queue, claim)
        elif queue.retired and not queue.tasks:
            self._retired.discard(queue)
            self._place_anew(queue.site, queue.claim_all())
        elif queue.is_deserted:
            self._forget(queue)
        self._waiting_room.one_ended()
        self._use_room()

    def _forget(self, queue: SiteQueue) -> None:
        """Keep of a deserted site whether it served us."""
        key = queue.key
        self._sites.pop(key, None)
        self._known.pop(key, None)
        if not (queue.is_strange or queue.is_lost):
            self._known[key] = None
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]

    # -- when there are as many connections as may be

    def _use_room(self) -> None:
        """Serve who waits for room, as far as there is some."""
        while self._waiting_room and (called := self._waiting_room.call()) is not None:
            queue = called.queue
            if len(queue) and not queue.closing and not queue.wake():
                self._open(queue, called.claim.owner)

    def _send_home_idle(self) -> None:
        """Let those that have been idle longest make room, at whichever site."""
        waiting_room = self._waiting_room
        while waiting_room and waiting_room.idlers:
            idle = [(q.idle_until, q) for q in waiting_room.idlers if waiting_room.may_ask(q)]
            longest = min(
                ((at, q) for at, q in idle if at is not None), key=itemgetter(0), default=None
            )
            if longest is None or not waiting_room.sends_home(longest[1]):
                return
            at, queue = longest
            queue.end_idle(at)
