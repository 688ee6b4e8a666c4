"""Guessing is slowed for all workers together, and a restart forgets nothing (decision 20).

Three subjects are counted: the pair of account and client, the client (an address, of IPv6 a /64),
its network (a /24, a /48).
The store has the truth. Each worker keeps a copy, counts its own failures in it at once, writes
them every tenth of a second, and reads what the others wrote when `data_version` changes.

Slack: a worker hears of its neighbours' failures within 0.4 s (0.1 to write, 0.2 to look, the rest
to read), so that at most what `workers` can check in that time is tried beyond a limit. Within one
worker there is none: an answer that is ready after the lock began is not told.
"""

import asyncio
import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from gatepost.identity.guessing import (
    FORGIVEN_AFTER,
    LONGEST_LOCK,
    WINDOW,
    Record,
    after_failure,
    is_locked,
)
from gatepost.identity.verdict import Cause
from gatepost.model.ids import AccountName
from gatepost.net.address import network_of, one_client
from gatepost.net.clock import agreed_seconds
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.protocols import Reading, Store, StoreUnavailableError, Transaction

_log: Final = logging.getLogger(__name__)

#: Failures in 10 minutes that lock a subject.
PAIR_LIMIT: Final = 5
ADDRESS_LIMIT: Final = 10
NETWORK_LIMIT: Final = 50

#: Seconds between two writes, and between two looks for what can be forgotten.
_WRITE: Final = 0.1
_FORGET: Final = 60.0
#: Failures that may wait for a store that is away.
_MOST_WAITING: Final = 20_000
#: Seconds by which reads overlap: a neighbour commits a little after its clock said `changed_at`.
_OVERLAP: Final = 2.0
_KEPT: Final = timedelta(seconds=WINDOW + LONGEST_LOCK + FORGIVEN_AFTER)
_MOMENT: Final = timedelta(seconds=1)
_BEGINNING: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Lock:
    """Who has to wait, and until when."""

    cause: Cause
    until: datetime


@dataclass(frozen=True, slots=True)
class _Failure:
    """One failure of one subject, at seconds since the epoch."""

    subject: str
    at: float
    limit: int


class Throttle:
    """Counts failures of one worker and knows everybody's. `run` writes and reads."""

    def __init__(
        self,
        store: Store,
        *,
        address_limit: int = ADDRESS_LIMIT,
        size: int = 100_000,
        clock: Callable[[], float] = agreed_seconds,
    ) -> None:
        self._store = store
        self._limits = {
            Cause.LOCKED_PAIR: PAIR_LIMIT,
            Cause.LOCKED_ADDRESS: address_limit,
            Cause.LOCKED_NETWORK: max(NETWORK_LIMIT, address_limit),
        }
        self._size = size
        self._clock = clock
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._waiting: list[_Failure] = []
        self._version: int | None = None
        self._read_until: float | None = None
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._records)

    def lock(self, client_address: str, name: AccountName | None = None) -> Lock | None:
        """Return why this address, or this account from this address, has to wait now."""
        if not self._records:
            return None
        now = self._clock()
        for cause, subject in subjects(client_address, name).items():
            record = self._records.get(subject)
            if record is not None and is_locked(record, now):
                return Lock(cause, datetime.fromtimestamp(record.locked_until, UTC))
        return None

    def note_failure(self, client_address: str, name: AccountName | None) -> None:
        """Note one wrong login; counts here at once, everywhere within the slack."""
        now = self._clock()
        for cause, subject in subjects(client_address, name).items():
            failure = _Failure(subject, now, self._limits[cause])
            self._apply(failure)
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(failure)
        self._wake.set()

    async def note_version(self, data_version: int) -> None:
        """Read what neighbours wrote, if `Store.data_version` has changed.

        Raises:
            StoreUnavailableError: what we know stays.

        """
        if data_version == self._version:
            return
        since = self._read_until
        if since is None:
            since = self._clock() - _KEPT.total_seconds()
        moment = datetime.fromtimestamp(since - _OVERLAP, UTC)
        self._take_over(await self._store.read(lambda reading: reading.guesses(moment)))
        self._version = data_version

    async def run(self) -> None:
        """Write failures as they come, until cancelled; then write what is left."""
        forget_at = 0.0
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(_WRITE)
                await self._try_flush()
                if self._clock() >= forget_at:
                    await self._try_forget()
                    forget_at = self._clock() + _FORGET
        finally:
            await self._try_flush()

    async def flush(self) -> None:
        """Write all that waits, merged with what others wrote.

        Raises:
            StoreUnavailableError: nothing was written; it waits on.

        """
        self._wake.clear()
        failures, self._waiting = self._waiting, []
        if not failures:
            return
        try:
            merged = await self._store.write(lambda transaction: merge(transaction, failures))
        except BaseException:
            # Perhaps written, perhaps not: one too many is better than one forgotten.
            self._waiting[:0] = failures
            raise
        self._take_over(merged, seen=False)

    def _take_over(self, found: Iterable[Guessed], *, seen: bool = True) -> None:
        """Replace what we know by what the store says, then count what it does not know yet."""
        since_when: dict[str, float] = {}
        for guessed in found:
            since_when[guessed.subject] = _forgiven_at(guessed)
            self._keep(guessed.subject, _record(guessed))
            if seen:
                at = guessed.changed_at.timestamp()
                self._read_until = max(self._read_until or 0.0, at)
        for failure in self._waiting:
            forgiven_at = since_when.get(failure.subject)
            if forgiven_at is not None and failure.at > forgiven_at:
                self._apply(failure)

    def _apply(self, failure: _Failure) -> None:
        record = self._records.get(failure.subject, Record())
        self._keep(failure.subject, after_failure(record, failure.at, limit=failure.limit))

    def _keep(self, subject: str, record: Record) -> None:
        self._records[subject] = record
        self._records.move_to_end(subject)
        while len(self._records) > self._size:
            self._records.popitem(last=False)

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except StoreUnavailableError as trouble:
            _log.warning("failed logins wait to be counted: %s", trouble)
            self._wake.set()
        except Exception:  # noqa: BLE001 - the top of a task: what was to be counted is lost
            _log.exception("failed logins were not counted: a fault of ours")

    async def _try_forget(self) -> None:
        before = datetime.fromtimestamp(self._clock(), UTC) - _KEPT
        for subject, record in list(self._records.items()):
            if not _matters(record, before.timestamp()):
                del self._records[subject]
        try:
            await self._store.write(lambda transaction: transaction.forget_guessed(before=before))
        except StoreUnavailableError as trouble:
            _log.warning("old failed logins are not forgotten yet: %s", trouble)
        except Exception:  # noqa: BLE001 - the top of a task
            _log.exception("old failed logins are not forgotten yet: a fault of ours")


def merge(transaction: Transaction, failures: Iterable[_Failure]) -> list[Guessed]:
    """Count failures on top of what the store has; return what it has then."""
    records: dict[str, tuple[Record, float]] = {}
    since_when: dict[str, float] = {}
    for failure in failures:
        known = records.get(failure.subject)
        if known is None and failure.subject not in since_when:
            guessed = transaction.guessed(failure.subject)
            since_when[failure.subject] = _forgiven_at(guessed) if guessed else -math.inf
            known = (_record(guessed), failure.at) if guessed else None
        if failure.at <= since_when[failure.subject]:
            continue  # it waited while somebody forgave
        known = known or (Record(), failure.at)
        record = after_failure(known[0], failure.at, limit=failure.limit)
        records[failure.subject] = (record, max(known[1], failure.at))
    merged = [_guessed(subject, *known) for subject, known in records.items()]
    transaction.put_guessed(merged)
    return merged


def subjects(client_address: str, name: AccountName | None = None) -> dict[Cause, str]:
    """Return what a login is counted under. Names are hashed: people type passwords there."""
    client = one_client(client_address)
    found = {
        Cause.LOCKED_NETWORK: f"network/{network_of(client_address)}",
        Cause.LOCKED_ADDRESS: f"address/{client}",
    }
    if name is not None:
        found[Cause.LOCKED_PAIR] = f"pair/{_mark(name)}/{client}"
    return found


def subjects_of(reading: Reading, what: str) -> list[Guessed]:
    """Return what the throttle knows under an account's prepared name, or under an address (its
    network and its pairs included).
    """
    known = reading.guesses(_BEGINNING)  # a command's clock may be one that servers do not follow
    try:
        ip_address(what.partition("%")[0])
    except ValueError:
        start = f"pair/{_mark(AccountName(what))}/"
        return [guessed for guessed in known if guessed.subject.startswith(start)]
    wanted = set(subjects(what).values())
    end = f"/{one_client(what)}"
    return [
        guessed
        for guessed in known
        if guessed.subject in wanted
        or (guessed.subject.startswith("pair/") and guessed.subject.endswith(end))
    ]


def forgiven(guessed: Guessed, now: datetime) -> Guessed:
    """Return a subject as if it had never failed. Where `now` is no time that servers can have,
    because the clock was set and they do not follow it, it is forgiven as of their last word.
    """
    known = guessed.changed_at
    at = now if known <= now <= known + _KEPT else known + _MOMENT
    return Guessed(guessed.subject, (), 0, _BEGINNING, at)


def _forgiven_at(guessed: Guessed) -> float:
    """Return until when all failures were forgiven; long ago where some are counted since."""
    is_blank = not guessed.failures and not guessed.locks
    return guessed.changed_at.timestamp() if is_blank else -math.inf


def _mark(name: AccountName) -> str:
    octets = name.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(octets, digest_size=16, person=b"gatepost pair").hexdigest()


def _matters(record: Record, oldest: float) -> bool:
    return record.locked_until > oldest or any(at > oldest for at in record.failures)


def _record(guessed: Guessed) -> Record:
    failures = tuple(at.timestamp() for at in guessed.failures)
    return Record(failures, guessed.locks, guessed.locked_until.timestamp())


def _guessed(subject: str, record: Record, changed_at: float) -> Guessed:
    return Guessed(
        subject,
        tuple(datetime.fromtimestamp(at, UTC) for at in record.failures),
        record.locks,
        datetime.fromtimestamp(record.locked_until, UTC),
        datetime.fromtimestamp(changed_at, UTC),
    )
