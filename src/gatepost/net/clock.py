"""Time, identity and chance, for those who pass them on as arguments."""

import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gatepost.model.ids import identifier

_ENTROPY_OCTETS = 4096

#: How often our line of processes has forked: to ask the system who we are, for each identifier, took
#: as long as all else about it.
_forks = 0


#: The store's time at a moment of `elapsed`, for a process that follows the store's clock.
_anchor: tuple[datetime, float] | None = None
#: Goes on while a machine sleeps, or a virtual one is stopped, where the system can say.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> datetime:
    """Return the time of day in UTC, by this machine's clock."""
    return datetime.now(UTC)


def agreed() -> datetime:
    """Return the time of day in UTC that all nodes over one store agree on: the store's where it is
    followed, else this machine's.
    """
    if _anchor is None:
        return datetime.now(UTC)
    at, since = _anchor
    return at + timedelta(seconds=elapsed() - since)


def agreed_seconds() -> float:
    """Return `agreed` in seconds since the Unix epoch."""
    return time.time() if _anchor is None else agreed().timestamp()


def elapsed() -> float:
    """Return seconds that nobody sets, from any beginning."""
    return time.clock_gettime(_ELAPSED)


def follow(at: datetime, since: float) -> None:
    """Take `at` for the time when `elapsed` was `since`, and count on from there.

    What nodes count together (quotas, failed logins) they count by one clock.
    """
    global _anchor
    _anchor = (at, since)


class Entropy:
    """Chance from the system's generator, fetched in blocks; threads and forks may share it."""

    __slots__ = ("_block", "_forks", "_lock", "_used")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._block = b""
        self._used = 0
        self._forks = _forks

    def octets(self, count: int) -> bytes:
        """Return `count` random octets (up to 4096), never handed out before."""
        with self._lock:
            end = self._used + count
            # A child must not repeat what its parent hands out.
            if end > len(self._block) or self._forks != _forks:
                self._block = os.urandom(_ENTROPY_OCTETS)
                self._forks = _forks
                end = count
            self._used = end
            return self._block[end - count : end]

    def bits(self, count: int) -> int:
        """Return a number of `count` random bits."""
        return int.from_bytes(self.octets((count + 7) // 8), "big") >> (-count % 8)

    def fraction(self) -> float:
        """Return a number from 0 up to, and never, 1."""
        return self.bits(53) / (1 << 53)

    def fractions(self) -> Iterator[float]:
        """Return fractions without end."""
        while True:
            yield self.fraction()

    def generator(self) -> random.Random:
        """Return a generator seeded from here, for a rule that wants a whole `Random`."""
        return random.Random(self.bits(128))  # noqa: S311 - chance, not a secret


class _Identifiers:
    """Hands out identifiers that rise within this process."""

    __slots__ = ("_counter", "_entropy", "_lock", "_milliseconds")

    def __init__(self) -> None:
        self._entropy = Entropy()
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._counter = 0

    def next(self) -> str:
        with self._lock:
            milliseconds = time.time_ns() // 1_000_000
            if milliseconds > self._milliseconds:
                self._milliseconds = milliseconds
                self._counter = 0
            elif self._counter < 0xFFF:
                self._counter += 1
            else:
                # More than 4096 in a millisecond (or the clock was set back): borrow from the
                # next one.
                self._milliseconds += 1
                self._counter = 0
            chance = int.from_bytes(self._entropy.octets(8), "big")
            return identifier(self._milliseconds, self._counter, chance)


_identifiers = _Identifiers()


def _start_afresh() -> None:
    # Another thread of the parent may have held a lock at the moment of the fork.
    global _forks, _identifiers
    _forks += 1
    _identifiers = _Identifiers()


os.register_at_fork(after_in_child=_start_afresh)


def new_identifier() -> str:
    """Return a new identifier (`model.ids.identifier`): rising within a process, unique over all."""
    return _identifiers.next()
