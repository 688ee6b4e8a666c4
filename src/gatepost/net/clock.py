"""Time, identity and chance, for those who pass them on as arguments."""

import math
import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from gatepost.model.ids import identifier

_ENTROPY_OCTETS = 4096

#: How often our line of processes has forked: to ask the system who we are, for each identifier, took
#: as long as all else about it.
_forks = 0


#: Seconds by which the time of day may be set, and is believed at once.
_STEP: Final = 30.0
#: Seconds for which a clock that was set by more must keep to its new time to be believed.
_CONFIRMED: Final = 900.0


class SteadyTime:
    """The time of day as it really passes: a clock that is set far away is not followed at once.

    Set for a minute and back again, it would let mail expire that has waited for an hour, drop a
    month of events, and make retries wait until it comes to that time again.
    """

    __slots__ = ("_began", "_followed", "_other", "_shift")

    def __init__(self) -> None:
        #: What added to the seconds that passed gives the time of day; None: not asked yet.
        self._shift: float | None = None
        #: The same for the time to which the clock was set, and when that was.
        self._other = 0.0
        self._began: float | None = None
        #: When the clock was followed after it had been set: in seconds that passed.
        self._followed = -math.inf

    def at(self, told: float, passed: float) -> float:
        """Return the time of day, in seconds since the Unix epoch.

        Args:
            told: what the clock says, likewise.
            passed: seconds that nobody sets, from any beginning.

        """
        shift = told - passed
        if self._shift is None or abs(shift - self._shift) <= _STEP:
            self._shift, self._began = shift, None
            return told
        if self._began is None or abs(shift - self._other) > _STEP:
            self._other, self._began = shift, passed
        elif passed - self._began >= _CONFIRMED:
            self._shift, self._began, self._followed = shift, None, passed
            return told
        return passed + self._shift

    def followed_within(self, seconds: float, passed: float) -> bool:
        """Tell whether the time of day leapt so lately, because a clock that was set is followed."""
        return passed - self._followed < seconds

    @property
    def off(self) -> float:
        """By how many seconds the clock was set and is not followed: 0.0 when it is."""
        return 0.0 if self._began is None or self._shift is None else self._other - self._shift


_steady = SteadyTime()
#: The store's time at a moment of `elapsed`, for a process that follows the store's clock.
_anchor: tuple[datetime, float] | None = None
#: Goes on while a machine sleeps, or a virtual one is stopped, where the system can say.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SLEEPS_COUNT = hasattr(time, "CLOCK_BOOTTIME")


def now() -> datetime:
    """Return the time of day in UTC, by this machine's clock (`SteadyTime`)."""
    return datetime.fromtimestamp(_seconds(), UTC)


def agreed() -> datetime:
    """Return the time of day in UTC that all nodes over one store agree on: the store's where it is
    followed, else this machine's.
    """
    if _anchor is None:
        return now()
    at, since = _anchor
    return at + timedelta(seconds=elapsed() - since)


def agreed_seconds() -> float:
    """Return `agreed` in seconds since the Unix epoch."""
    return _seconds() if _anchor is None else agreed().timestamp()


def off() -> float:
    """Return by how many seconds this machine's clock was set and is not followed; 0.0: none."""
    return _steady.off


def leapt_within(seconds: float) -> bool:
    """Tell whether `now` leapt in the last so many seconds (`SteadyTime`)."""
    return _steady.followed_within(seconds, elapsed())


def _seconds() -> float:
    return _steady.at(time.time(), elapsed()) if _SLEEPS_COUNT else time.time()


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
