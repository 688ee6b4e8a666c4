"""Who waits for a connection, and whose connections make room for them.

Nobody keeps room for ever: an idle connection goes home for whoever waits, and a busy one for a site that
has none. A site that has several gives up one of them at once, the last one when it has had its turn. An
account's connections make room for its own mail, and for others' only where little is left for anybody.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.connection_room import Claim, ConnectionRoom
from gatepost.model.lane import Lane

if TYPE_CHECKING:
    from gatepost.delivery.site_queue import SiteQueue


class Called(NamedTuple):
    """Whose turn it is, and for whom a connection may be opened there."""

    claim: Claim
    queue: "SiteQueue"


class WaitingRoom:
    """Who waits for room: a line for each claim, and their turns.

    `use` is called when there may be some without a connection having ended.
    """

    def __init__(self, bounds: Bounds, use: Callable[[], None] = lambda: None) -> None:
        self.room = ConnectionRoom(bounds.connections)
        self._use = use
        self._lines: dict[Claim, dict[SiteQueue, None]] = {}
        #: Connections that were sent home for those that wait, and have not ended yet.
        self._sent_home = 0
        #: Queues with idle connections.
        self.idlers: set[SiteQueue] = set()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def enter(self, queue: "SiteQueue", claim: Claim) -> bool:
        """Stand in line; False for who stands there already, and keeps the place."""
        line = self._lines.get(claim)
        if line is None:
            line = self._lines[claim] = {}
        elif queue in line:
            return False
        line[queue] = None
        return True

    def call(self) -> Called | None:
        """Take the next for whom there is room: one-time passwords first, then sites without a
        connection, then those that want more; of equals each claim in its turn.
        """
        if not self.room.has_any:
            return None
        for claim in sorted(self._lines, key=_rank):
            if self.room.has_some(claim):
                line = self._lines.pop(claim)
                queue = next(iter(line))
                del line[queue]
                if line:
                    self._lines[claim] = line  # behind its equals
                return Called(claim, queue)
        return None

    def surplus(self, least: int) -> list["SiteQueue"]:
        """Return who waits without a connection for longer than is any use: in a line, those behind
        as many as `least`, and as three times the connections that are there in its name.
        """
        found: list[SiteQueue] = []
        for claim, line in self._lines.items():
            if not claim.is_further:
                most = max(least, 3 * self.room.held_by(claim.owner))
                found += [queue for queue in islice(line, most, None) if not queue.tasks]
        return found

    def is_no_stranger(self, queue: "SiteQueue") -> None:
        """Hear that a transaction has come to an end at a site for the first time."""
        for task, claim in queue.tasks.items():
            queue.tasks[task] = self.room.is_no_stranger(claim)
        if self._lines:
            self._use()

    # -- who makes room

    def sends_home(self, queue: "SiteQueue") -> bool:
        """Tell whether an idle connection of a queue is to make room; who asks goes."""
        return bool(self._lines) and self.may_ask(queue) and self._sends(self._lines.keys(), None)

    def sends_away(self, queue: "SiteQueue") -> bool:
        """Tell whether a busy connection of a queue is to make room; who asks goes."""
        if not self._lines or not self.may_ask(queue):
            return False
        return self._sends([claim for claim in self._lines if not claim.is_further], queue)

    def may_ask(self, queue: "SiteQueue") -> bool:
        """Tell whether a queue's connections may make room for some that wait."""
        if self.room.is_short:
            return True
        ours = {claim.owner.account for claim in queue.tasks.values()}
        return any(claim.owner.account in ours for claim in self._lines)

    def one_ended(self) -> None:
        """Hear of a connection that ended."""
        self._sent_home = max(0, self._sent_home - 1)

    def forget_sent(self) -> None:
        """Count no more on those that were sent home: one that got new work makes no room."""
        self._sent_home = 0

    def _sends(self, claims: Iterable[Claim], other_than: "SiteQueue | None") -> bool:
        """Tell whether more wait than were sent home, and count one more that is."""
        waiting = 0
        for claim in list(claims):
            line = self._lines[claim]
            # Those at its head that their own connections have served meanwhile leave.
            while line and not len(queue := next(iter(line))):
                del line[queue]
            if not line:
                del self._lines[claim]
            waiting += len(line) - (other_than in line)
            if waiting > self._sent_home:
                self._sent_home += 1
                return True
        return False


def _rank(claim: Claim) -> tuple[bool, bool]:
    return claim.owner.lane is not Lane.OTP, claim.is_further
