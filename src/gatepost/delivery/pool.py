"""Who serves a site from a source: its queue of parcels, and a bounded number of connections, each
one task. Providers count by source address, so whatever is bounded is so for each.

Connections appear while parcels wait and the bounds allow it, take parcels until nothing is left,
wait a while for more, and go. Nothing here belongs to one message: no task, no timer.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Protocol

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lane_queue import LaneQueue
from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.site import Kind, Site
from gatepost.model.ids import SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.source import Source
from gatepost.net.address import SocketAddress

#: Serves one connection of a site until there is nothing left to do.
Serve = Callable[["SiteQueue"], Coroutine[None, None, None]]


class Leaves(Protocol):
    """A connection, as far as it matters here."""

    def leave(self, missing: Callable[[str], bool]) -> None:
        """Go at once where this machine lacks the address that it comes from."""
        ...


class SiteQueue:
    """What waits for one site and leaves from one source, and the connections that serve it."""

    def __init__(
        self,
        site: Site,
        bounds: Bounds,
        source: Source | None = None,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.site = site
        #: Asked by a connection that is about to idle: whether another site needs its room.
        self._is_wanted = is_wanted
        #: From where its connections come; None: as the system chooses.
        self.source = source
        self.bounds = bounds
        #: Addresses whose STARTTLS does not work: they get clear text for as long as we talk.
        self.without_tls: set[SocketAddress] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        #: Connections that are up.
        self.links: list[Leaves] = []
        #: Connections that are not up yet.
        self.dialling = 0
        #: How many connections this site may have; less after it refused one beside others.
        self.most = site_limit(site, bounds)
        #: Parcels taken out since the last look (`Pool.slow_sites`), and whether there was one.
        self.taken_lately = 0
        self.looked_at = False
        self._parcels = LaneQueue()
        self._open: dict[SubmissionId, Parcel] = {}
        self._idle: deque[tuple[asyncio.Future[None], float]] = deque()
        self.closing = False
        #: Closing, because its source may not be used any more as it was: another queue goes on.
        self.retired = False

    def __len__(self) -> int:
        return len(self._parcels)

    @property
    def is_deserted(self) -> bool:
        """True when nothing waits and nobody serves."""
        return not len(self._parcels) and not self.tasks

    def add(self, item: Item, pieces: Sequence[bytes] | None) -> Parcel | None:
        """Queue one delivery, beside others of the same submission; return a parcel it began."""
        submission = item.leased.submission
        parcel = self._open.get(submission.id)
        if parcel is not None:
            parcel.items.append(item)
            if len(parcel.items) >= self._recipients():
                del self._open[submission.id]
            return None
        parcel = Parcel(submission, [item], pieces)
        if self._recipients() > 1:
            self._open[submission.id] = parcel
        self._parcels.append(parcel)
        return parcel

    def put_back(self, parcel: Parcel) -> None:
        """Queue a parcel in front of its lane, to be tried again at once."""
        self._parcels.put_first(parcel)

    def holds_more_urgent(self, than: Lane) -> bool:
        """Tell whether something waits that goes before a lane."""
        return self._parcels.holds_more_urgent(than)

    def claim(self) -> list[Parcel]:
        """Take the next parcels: a fair share, so that connections work side by side."""
        share = len(self._parcels) // max(1, len(self.tasks))
        count = min(len(self._parcels), self.bounds.claim, max(1, share))
        taken: list[Parcel] = []
        octets = 0
        while len(taken) < count:
            octets += self._parcels.first().submission.size
            if taken and octets > self.bounds.claimed_content:
                break  # their contents are read into memory together
            taken.append(self._pop())
        self.taken_lately += len(taken)
        return taken

    def claim_all(self) -> list[Parcel]:
        """Take everything that waits."""
        return [self._pop() for _ in range(len(self._parcels))]

    def leave_to_others(self) -> bool:
        """Give up one connection for good where there are others; False for the last one.

        A site that refuses a further connection is not down, only busy.
        """
        if len(self.tasks) < 2:
            return False
        self.most = max(1, min(self.most, len(self.tasks)) - 1)
        return True

    def claim_last(self, count: int) -> list[Parcel]:
        """Take the `count` least urgent and youngest that wait."""
        taken = [self._parcels.take_last() for _ in range(min(count, len(self._parcels)))]
        for parcel in taken:
            self._close(parcel)
        return taken

    async def wait(self) -> bool:
        """Wait until something may be claimed; False when it took too long, or all is to end."""
        if self.closing or self._is_wanted():
            return False
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._idle.append((woken, loop.time() + self.bounds.session_idle))
        await woken
        return len(self._parcels) > 0 and not self.closing

    def wake(self) -> bool:
        """Wake one idle connection, the one that was busy last; False when there is none."""
        while self._idle:
            woken, _ = self._idle.pop()
            if not woken.done():
                woken.set_result(None)
                return True
        return False

    def end_idle(self, now: float) -> None:
        """Send home those that have waited long enough."""
        while self._idle and self._idle[0][1] <= now:
            woken, _ = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)

    @property
    def idle_until(self) -> float | None:
        """When the connection that has been idle longest goes home; None where none is idle."""
        return self._idle[0][1] if self._idle else None

    def _pop(self) -> Parcel:
        parcel = self._parcels.take_first()
        self._close(parcel)
        return parcel

    def _close(self, parcel: Parcel) -> None:
        if self._open.get(parcel.submission.id) is parcel:
            del self._open[parcel.submission.id]

    def _recipients(self) -> int:
        return self.bounds.recipients


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
        self._waiting_for_room: deque[SiteQueue] = deque()
        #: Connections that were sent home for those that wait for room, and have not ended yet.
        self._sent_home = 0

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
            queue = self._sites[key] = SiteQueue(site, self._bounds, source, self._send_home)
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
        self._connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(queue))
        queue.tasks.add(task)
        task.add_done_callback(lambda t: self._ended(queue, t))

    def end_idle(self, now: float) -> None:
        """Send home idle connections; `now` in loop time."""
        for queue in list(self._sites.values()):
            queue.end_idle(now)
        self._sent_home = 0  # one that got new work on its way home makes no room
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
            self.rouse(queue)  # what came while it took its leave
        elif queue.retired and not queue.tasks:
            self._retired.discard(queue)
            self._place_anew(queue.site, queue.claim_all())
        elif queue.is_deserted:
            self._sites.pop(_key(queue.site, queue.source), None)
        self._sent_home = max(0, self._sent_home - 1)
        self._use_room()

    # -- when there are as many connections as may be

    def _wait_for_room(self, queue: SiteQueue) -> None:
        waiting = self._waiting_for_room
        if queue.holds_more_urgent(Lane.TRANSACTIONAL):  # a one-time password waits
            if waiting and waiting[0] is queue:
                return
            with suppress(ValueError):
                waiting.remove(queue)
            waiting.appendleft(queue)
        elif queue in waiting:
            return
        else:
            waiting.append(queue)
        self._send_home_idle()

    def _use_room(self) -> None:
        """Serve who waits for room, as far as there is some."""
        while self._waiting_for_room and self._connections < self._bounds.connections:
            self.rouse(self._waiting_for_room.popleft())

    def _send_home(self) -> bool:
        """Tell whether one connection is to make room; who asks goes."""
        waiting = self._waiting_for_room
        while waiting and not len(waiting[0]):
            waiting.popleft()  # its own connections have served it meanwhile
        if len(waiting) <= self._sent_home:
            return False
        self._sent_home += 1
        return True

    def _send_home_idle(self) -> None:
        """Let those that have been idle longest make room, at whichever site."""
        while self._waiting_for_room:
            idle = [(q.idle_until, q) for q in self._sites.values()]
            longest = min(
                ((at, q) for at, q in idle if at is not None), key=itemgetter(0), default=None
            )
            if longest is None or not self._send_home():
                return
            at, queue = longest
            queue.end_idle(at)


def _key(site: Site, source: Source | None) -> str:
    return site.key if source is None else f"{site.key} from {source.key}"


def site_limit(site: Site, bounds: Bounds) -> int:
    """Return how many connections a site may have."""
    return bounds.maildir_writers if site.kind is Kind.MAILDIR else bounds.connections_per_site
