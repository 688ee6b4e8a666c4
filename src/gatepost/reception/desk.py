"""What a worker's conversations share: rules from the settings, and the parts of the world."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from gatepost.events.record import Recorder
from gatepost.identity.authenticate import Authenticator
from gatepost.identity.foreign import Everybody
from gatepost.identity.histories import Histories
from gatepost.model.settings import LimitSettings, Role
from gatepost.net.counters import Metric, WorkerCounters
from gatepost.reception.accept import Acceptance
from gatepost.reception.allowances import Allowances
from gatepost.reception.crowd import Crowd
from gatepost.reception.inside import Inside
from gatepost.reception.lobby import Lobby
from gatepost.reception.memory import Memory
from gatepost.reception.patience import Pace
from gatepost.reception.relay import LocalDomains
from gatepost.reception.suppressed import SuppressionList
from gatepost.wire.smtp.extensions import Profile


@dataclass(frozen=True, slots=True)
class Door:
    """One listener, as its conversations see it; `tls` returns the context of the day. `balancers` are
    whose PROXY header is waited for, and believed.
    """

    role: Role
    profile: Profile
    tls: Callable[[], ssl.SSLContext]
    balancers: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """What every conversation of a worker uses.

    `free_space` returns the octets that may still be written; `stopping` tells that the worker is
    about to end; `capacity` returns how many connections its open files allow. Who says much at once
    waits for his `turn`.
    """

    local: LocalDomains
    inside: Inside
    limits: LimitSettings
    acceptance: Acceptance
    authenticator: Authenticator
    directory: Everybody
    allowances: Allowances
    histories: Histories
    recorder: Recorder
    suppressed: SuppressionList
    counters: WorkerCounters
    memory: Memory
    free_space: Callable[[], int]
    stopping: Callable[[], bool]
    capacity: Callable[[], int] = lambda: 1 << 30
    crowd: Crowd = field(default_factory=Crowd)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    lobby: Lobby = field(init=False)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lobby", Lobby(self._room, self._note_headerless))
        object.__setattr__(self, "pace", Pace.of(self.limits))

    def _room(self) -> int:
        """Return how many connections more the open files allow."""
        return self.capacity() - self.counters.value(Metric.CONNECTIONS)

    def _note_headerless(self) -> None:
        self.counters.add(Metric.HEADERLESS)
