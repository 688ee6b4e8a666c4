"""What a worker's conversations share: rules from the settings, and the parts of the world."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gatepost.events.record import Recorder
from gatepost.identity.authenticate import Authenticator
from gatepost.identity.foreign import Everybody
from gatepost.identity.histories import Histories
from gatepost.model.settings import LimitSettings, Role
from gatepost.net.counters import WorkerCounters
from gatepost.reception.accept import Acceptance
from gatepost.reception.allowances import Allowances
from gatepost.reception.patience import Pace
from gatepost.reception.relay import LocalDomains
from gatepost.reception.suppressed import SuppressionList
from gatepost.wire.smtp.extensions import Profile


class Memory:
    """How many octets of content under way this worker holds, and may hold.

    All that one stranger's connections hold together is at most `share`: who has logged in finds
    room whatever strangers do. "" as client: somebody who has logged in.
    """

    __slots__ = ("_strangers", "limit", "share", "used")

    def __init__(self, limit: int, share: int | None = None) -> None:
        self.limit = limit
        self.share = limit if share is None else share
        self.used = 0
        self._strangers: dict[str, int] = {}

    def left(self, client: str = "") -> int:
        """Return what this client may still take."""
        left = self.limit - self.used
        return min(left, self.share - self._strangers.get(client, 0)) if client else left

    def take(self, octets: int, client: str = "") -> None:
        """Count octets that a client holds from now on."""
        self.used += octets
        if client and octets:
            self._strangers[client] = self._strangers.get(client, 0) + octets

    def give(self, octets: int, client: str = "") -> None:
        """Count octets that a client has let go of."""
        self.used -= octets
        if client and octets:
            self._strangers[client] -= octets
            if not self._strangers[client]:
                del self._strangers[client]


@dataclass(frozen=True, slots=True)
class Door:
    """One listener, as its conversations see it."""

    role: Role
    profile: Profile
    tls: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Desk:
    """What every conversation of a worker uses.

    `note_exposed` takes the name of an account whose password came in clear, and the client's
    address; `free_space` returns the octets that may still be written; `stopping` tells that the
    worker is about to end; `capacity` returns how many connections its open files allow.
    """

    local: LocalDomains
    limits: LimitSettings
    acceptance: Acceptance
    authenticator: Authenticator
    directory: Everybody
    allowances: Allowances
    histories: Histories
    note_exposed: Callable[[str, str], Awaitable[None]]
    recorder: Recorder
    suppressed: SuppressionList
    counters: WorkerCounters
    memory: Memory
    free_space: Callable[[], int]
    stopping: Callable[[], bool]
    capacity: Callable[[], int] = lambda: 1 << 30
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pace", Pace.of(self.limits))
