"""Guessing passwords is slowed, per address of the client (decision 20).

`[limits] authentication_failures` failures in 10 minutes lock an address for 1 minute, and each
further lock lasts twice as long, up to 1 hour. Locks end by themselves. A good login does not wipe
failures out: whoever has one account could else guess at the others for ever.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from typing import Final

#: All in seconds.
WINDOW: Final = 600.0
FIRST_LOCK: Final = 60.0
LONGEST_LOCK: Final = 3600.0
#: So long after a lock has ended the next one begins with `FIRST_LOCK` again.
FORGIVEN_AFTER: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Record:
    """What one address did: when it failed within the window, how often it was locked, until when.

    Times are seconds on whatever clock the caller uses, always the same one.
    """

    failures: tuple[float, ...] = ()
    locks: int = 0
    locked_until: float = 0.0


def is_locked(record: Record, now: float) -> bool:
    """Tell whether an address has to wait."""
    return now < record.locked_until


def after_failure(record: Record, now: float, *, limit: int) -> Record:
    """Return the record with one more failure; the `limit`-th within the window locks.

    A failure during a lock (of a session that was already open) changes nothing.
    """
    if is_locked(record, now):
        return record
    if record.locks and now >= record.locked_until + FORGIVEN_AFTER:
        record = replace(record, locks=0)
    failures = (*(at for at in record.failures if at > now - WINDOW), now)
    if len(failures) < limit:
        return replace(record, failures=failures)
    lasting = min(FIRST_LOCK * 2.0 ** min(record.locks, 10), LONGEST_LOCK)
    return Record((), record.locks + 1, now + lasting)


class GuessingBook:
    """The records of one worker, in memory, at most `size` of them.

    The one that failed longest ago is given up first: a stranger with very many addresses gains
    a few tries, and our memory stays ours.
    """

    def __init__(
        self, limit: int, *, size: int = 50_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._size = size
        self._clock = clock
        self._records: OrderedDict[str, Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def seconds_locked(self, client_address: str) -> float:
        """Return how long this address still has to wait, 0 when it may try."""
        record = self._records.get(_key(client_address))
        return max(0.0, record.locked_until - self._clock()) if record else 0.0

    def note_failure(self, client_address: str) -> float:
        """Note one wrong password (or unknown name); return how long the address is locked now."""
        key = _key(client_address)
        record = self._records.pop(key, Record())
        self._records[key] = after_failure(record, self._clock(), limit=self._limit)
        while len(self._records) > self._size:
            self._records.popitem(last=False)
        return self.seconds_locked(client_address)


def _key(client_address: str) -> str:
    """Return what is counted together: an IPv4 address, an IPv6 /64 (one customer has as many
    addresses there as he likes).
    """
    if ":" not in client_address:
        return client_address
    try:
        address = IPv6Address(client_address.partition("%")[0])
    except AddressValueError:
        return client_address
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
