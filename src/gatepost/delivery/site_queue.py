"""What waits for one site and leaves from one source, and the connections that serve it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from gatepost.delivery.barren import Barren
from gatepost.delivery.bounds import Bounds
from gatepost.delivery.connection_room import Claim, Owner
from gatepost.delivery.lane_queue import LaneQueue
from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.site import Kind, Site
from gatepost.delivery.waiting_room import WaitingRoom
from gatepost.model.ids import SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.source import Source


class Leaves(Protocol):
    """A connection, as far as it matters here."""

    def leave(self, missing: Callable[[str], bool]) -> None:
        """Go at once where this machine lacks the address that it comes from."""
        ...

    def hurry(self, now: float) -> None:
        """Go where the host has kept us waiting for long, in loop time: others wait for room."""
        ...


class SiteQueue:
    """What waits for one site and leaves from one source, and the connections that serve it."""

    def __init__(
        self,
        site: Site,
        bounds: Bounds,
        source: Source | None = None,
        waiting_room: WaitingRoom | None = None,
    ) -> None:
        self.site = site
        self._waiting_room = WaitingRoom(bounds) if waiting_room is None else waiting_room
        #: Whether no transaction has come to an end here yet, as far as is remembered.
        self.is_strange = site.kind is not Kind.MAILDIR
        #: Whether the last session that was wanted was not to be had.
        self.is_lost = False
        self.barren = Barren()
        #: From where its connections come; None: as the system chooses.
        self.source = source
        self.bounds = bounds
        #: Connections, and what each was opened for.
        self.tasks: dict[asyncio.Task[None], Claim] = {}
        #: Those of them that are made, ready or not.
        self.links: list[Leaves] = []
        #: Connections that are not up yet.
        self.dialling = 0
        #: How many connections this site may have; less after it refused one beside others, and one
        #: more with each while in which it refused none.
        self.most = site_limit(site, bounds)
        self._narrowed_at = 0.0
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
    def key(self) -> str:
        """The same for what waits for the same site and leaves from the same source."""
        return key_of(self.site, self.source)

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

    def owners(self, most: int) -> Iterator[Owner]:
        """Return whose mail waits, once each, among the first `most` parcels."""
        whose = (Owner(p.account, p.lane) for p in self._parcels.all())
        yield from dict.fromkeys(islice(whose, most))

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

    def leave_to_others(self, now: float) -> bool:
        """Give up one connection for good where there are others; False for the last one.

        A site that refuses a further connection is not down, only busy. `now` in loop time.
        """
        if len(self.tasks) < 2:
            return False
        self.most = max(1, min(self.most, len(self.tasks)) - 1)
        self._narrowed_at = now
        return True

    def widen(self, now: float) -> None:
        """Try one connection more, where none was refused for a while; `now` in loop time."""
        if self.most >= site_limit(self.site, self.bounds):
            return
        if now - self._narrowed_at >= self.bounds.widened_after:
            self.most += 1
            self._narrowed_at = now

    def claim_last(self, count: int) -> list[Parcel]:
        """Take the `count` least urgent and youngest that wait."""
        taken = [self._parcels.take_last() for _ in range(min(count, len(self._parcels)))]
        for parcel in taken:
            self._close(parcel)
        return taken

    async def wait(self) -> bool:
        """Wait until something may be claimed; False when it took too long, or all is to end."""
        if self.closing or self._waiting_room.sends_home(self):
            return False
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._idle.append((woken, loop.time() + self.bounds.session_idle))
        self._waiting_room.idlers.add(self)
        await woken
        return len(self._parcels) > 0 and not self.closing

    def gives_way(self, since: float) -> bool:
        """Tell whether a busy connection that has been there `since`, in loop time, is to leave its
        room to a site that has none. One that sends a one-time password keeps it.
        """
        if len(self.tasks) < 2:
            turn_ends = since + self.bounds.turn
            if asyncio.get_running_loop().time() < turn_ends or self._sends_passwords():
                return False
        return self._waiting_room.sends_away(self)

    @property
    def is_hurried(self) -> bool:
        """True while others wait for room: nobody is waited for as long as may be."""
        return bool(self._waiting_room)

    def is_no_stranger(self) -> None:
        """Note that a transaction has come to an end here."""
        if self.is_strange:
            self.is_strange = False
            self._waiting_room.is_no_stranger(self)

    def _sends_passwords(self) -> bool:
        return self.holds_more_urgent(Lane.TRANSACTIONAL)

    def wake(self) -> bool:
        """Wake one idle connection, the one that was busy last; False when there is none."""
        while self._idle:
            woken, _ = self._idle.pop()
            if not woken.done():
                woken.set_result(None)
                self._note_idle()
                return True
        self._note_idle()
        return False

    def end_idle(self, now: float) -> None:
        """Send home those that have waited long enough."""
        while self._idle and self._idle[0][1] <= now:
            woken, _ = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._idle:
            self._waiting_room.idlers.discard(self)

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


def key_of(site: Site, source: Source | None) -> str:
    """Return what tells a site, as it is called from a source, from all others."""
    return site.key if source is None else f"{site.key} from {source.key}"


def site_limit(site: Site, bounds: Bounds) -> int:
    """Return how many connections a site may have."""
    return bounds.maildir_writers if site.kind is Kind.MAILDIR else bounds.connections_per_site
