"""What a worker's conversations share: rules from the settings, and the parts of the world."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from gatepost.events.record import Recorder
from gatepost.identity.authenticate import Authenticator
from gatepost.identity.directory import Directory
from gatepost.model.settings import LimitSettings, Role
from gatepost.net.counters import WorkerCounters
from gatepost.reception.accept import Acceptance
from gatepost.reception.relay import LocalDomains
from gatepost.wire.smtp.extensions import Profile

#: How long content may come as slowly as it likes, before `minimum_rate` is asked of it.
GRACE = timedelta(seconds=30)


class Memory:
    """How many octets of content under way this worker holds, and may hold."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def left(self) -> int:
        """Return what may still be taken."""
        return self.limit - self.used


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
    worker is about to end; `capacity` is how many connections its open files allow.
    """

    local: LocalDomains
    limits: LimitSettings
    acceptance: Acceptance
    authenticator: Authenticator
    directory: Directory
    note_exposed: Callable[[str, str], Awaitable[None]]
    recorder: Recorder
    counters: WorkerCounters
    memory: Memory
    free_space: Callable[[], int]
    stopping: Callable[[], bool]
    capacity: int = 1 << 30
