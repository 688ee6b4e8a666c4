"""The journal: every event as one line of JSON, in data_dir/journal/YYYY-MM-DD.jsonl.

A rendering of the outbox: in order, at least once (a line carries its position, so that a reader
can drop what it has seen). A day is the day of writing in UTC: a file that is done never changes.
Lines are on the disk before the position is: a crash repeats lines, and loses none.

Of several nodes one writes at a time, under a claim in the store: an event is in the journal of one
node. Where one dies, or stands still, before it has written down how far it came, another repeats
what it wrote since: at most a batch, however short a time that was (what was held up comes at once). On
the same node nothing is repeated: who goes on there sees what stands at the end.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, Final

from gatepost.model.event import Event, EventKind
from gatepost.store.outbox import StoredEvent
from gatepost.store.protocols import Store, StoreUnavailableError
from gatepost.store.stored_facts import StoredFacts

_log = logging.getLogger(__name__)

READER: Final = "journal"
_BATCH: Final = 1000
#: Another node goes on when this one has not written for so long; and seconds of it, by our count, in
#: which a claim need not be made anew.
_CLAIMED: Final = timedelta(seconds=10)
_SURE: Final = 5.0
#: Seconds until it is tried again after a fault of ours.
_FAULT_PAUSE: Final = 10.0
_FILE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl", re.ASCII)
_LOCK: Final = "lock"
#: What may be read of the end of a file to find a line that a crash has cut; and to find what a process
#: had written that died: a batch of lines as they are.
_TAIL: Final = 64 * 1024
_BATCH_TAIL: Final = 2 * 2**20


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as plain values, as journal, `--json` and webhooks show it."""
    return {
        "kind": event.kind.value,
        "at": time_text(event.at),
        "message": event.submission_id,
        "delivery": event.delivery_id,
        "account": event.account,
        "facts": dict(event.facts),
    }


def time_text(at: datetime) -> str:
    """Return a time in RFC 3339, UTC, with milliseconds: "2026-01-02T03:04:05.678Z"."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def journal_lines(events: Iterable[StoredEvent]) -> bytes:
    """Return the lines of some events, each ended by LF."""
    return "".join(map(_line, events)).encode("utf-8", "backslashreplace")


def _line(stored: StoredEvent) -> str:
    event = stored.event
    facts = event.facts
    if isinstance(facts, StoredFacts) and "\\u" not in facts.text:
        text = facts.text  # as the journal writes them: beyond ASCII it escapes less
    else:
        text = json.dumps(dict(facts), ensure_ascii=False, separators=(",", ":"))
    return (
        f'{{"position":{stored.position},"kind":{_kind(event)},"at":"{time_text(event.at)}"'
        f',"message":{_quoted(event.submission_id)},"delivery":{_quoted(event.delivery_id)}'
        f',"account":{_quoted(event.account)},"facts":{text}}}\n'
    )


def _kind(event: Event) -> str:
    kind = event.kind
    return f'"{kind.value}"' if isinstance(kind, EventKind) else encode_basestring(kind.value)


def _quoted(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


def outdated(names: Iterable[str], today: date, retention: timedelta) -> list[str]:
    """Return those journal files whose whole day is older than `retention`."""
    found = []
    for name in names:
        match = _FILE.fullmatch(name)
        try:
            day = date.fromisoformat(match[1]) if match else None
        except ValueError:
            day = None
        if day is not None and today - day > retention + timedelta(days=1):
            found.append(name)
    return found


async def run_journal(
    store: Store,
    directory: Path,
    *,
    retention: timedelta,
    now: Callable[[], datetime],
    interval: float = 1.0,
) -> None:
    """Write the journal until cancelled, if no other process of this node does.

    Every worker may run it: the one that holds the lock writes, and another takes over within
    `interval` seconds when that one is gone.
    """
    journal = Journal(directory, retention)
    waits = False
    try:
        while True:
            try:
                if await asyncio.to_thread(journal.lock):
                    written = await catch_up(store, journal, now)
                    if waits and written:
                        _log.info("the journal is written again")
                        waits = False
            except (OSError, StoreUnavailableError) as error:
                _log.warning("the journal waits: %s", error)
                waits = True
            except Exception:  # noqa: BLE001 - the top of a task: mail does not wait for it
                _log.exception("the journal waits: a fault of ours")
                await asyncio.sleep(_FAULT_PAUSE)
            await asyncio.sleep(interval)
    finally:
        journal.close()


async def catch_up(store: Store, journal: "Journal", now: Callable[[], datetime]) -> int:
    """Write all that the outbox has and the journal has not; return how many events.

    Raises:
        OSError: the journal cannot be written.
        StoreUnavailableError: the outbox cannot be read, or the position not kept.

    """
    written = 0
    position = await _position(store)
    if not journal.is_sure:
        if not await _next(store, position) or not await _claim(store, journal, now()):
            return 0
        position = await _position(store)  # another node may have gone on until now
    while True:
        events = await _next(store, position)
        if not events:
            return written
        try:
            await asyncio.to_thread(journal.append, events, now().date())
        except OSError:
            with contextlib.suppress(StoreUnavailableError):
                await _let_go(store, journal, now())  # another node may have a better disk
            raise
        position = events[-1].position
        if not await _keep(store, journal, position, now()):
            return written
        journal.forget_unkept()
        written += len(events)
        if len(events) < _BATCH:
            return written  # what came meanwhile waits for its neighbours: fewer, larger writes


async def _position(store: Store) -> int:
    return await store.read(lambda reading: reading.position(READER))


async def _next(store: Store, position: int) -> Sequence[StoredEvent]:
    return await store.read(lambda reading: reading.events(after=position, limit=_BATCH))


async def _claim(store: Store, journal: "Journal", at: datetime) -> bool:
    """Tell whether we are the node that writes from now on."""
    began, former = time.monotonic(), journal.claim
    claim = await store.write(
        lambda transaction: transaction.claim_reader(READER, former, at, at + _CLAIMED)
    )
    journal.hold(claim, began)
    return claim > 0


async def _let_go(store: Store, journal: "Journal", at: datetime) -> None:
    """Leave it to whichever node comes first, this one as well."""
    former = journal.claim
    claim = await store.write(lambda transaction: transaction.claim_reader(READER, former, at, at))
    journal.hold(claim, began=-_SURE)


async def _keep(store: Store, journal: "Journal", position: int, at: datetime) -> bool:
    """Remember how far we are; False where another node has gone on meanwhile."""
    began, former = time.monotonic(), journal.claim
    claim = await store.write(
        lambda transaction: transaction.advance_reader(READER, position, former, at + _CLAIMED)
    )
    journal.hold(claim, began)
    return claim > 0


class Journal:
    """The folder of journal files, for the one process that holds its lock."""

    def __init__(self, directory: Path, retention: timedelta) -> None:
        self._directory = directory
        self._retention = retention
        self._lock: int | None = None
        self._file: int | None = None
        self._day: date | None = None
        #: The claim by which this node writes; 0 where it has none.
        self.claim = 0
        self._sure_until = 0.0
        #: What was written last, while nobody has written down that it was; and what stands at the end of
        #: which the process before may not have written it down.
        self._unkept: Sequence[StoredEvent] = ()
        self._left: frozenset[str] = frozenset()

    @property
    def is_sure(self) -> bool:
        """Whether the claim certainly stands."""
        return self.claim > 0 and time.monotonic() < self._sure_until

    def hold(self, claim: int, began: float) -> None:
        """Keep a claim, asked for at `began`, for whichever process of this node is the next."""
        self.claim = claim
        self._sure_until = began + _SURE
        if self._lock is not None:
            os.pwrite(self._lock, f"{claim:<20}".encode(), 0)

    def lock(self) -> bool:
        """Take the node's lock, or tell that another process has it. Raises OSError."""
        if self._lock is not None:
            return True
        self._directory.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._left = _last_lines(self._directory)
        except BlockingIOError:
            os.close(lock)
            return False
        except OSError:
            os.close(lock)
            raise
        self._lock = lock
        kept = os.pread(lock, 20, 0).strip()
        self.claim = int(kept) if kept.isdigit() else 0
        return True

    def append(self, events: Sequence[StoredEvent], day: date) -> None:
        """Add lines to the day's file, but those that were written and not kept; they are on the disk
        on return. Raises OSError.
        """
        file = self._of(day)
        end = os.fstat(file).st_size
        rest = memoryview(journal_lines(self._unwritten(events)))
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fdatasync(file)
        except OSError:
            # They come again: half a line must not stand before them. Where it cannot be taken away now,
            # it is when the file is opened anew.
            with contextlib.suppress(OSError):
                os.ftruncate(file, end)
            self._close_file()
            raise
        self._unkept = events

    def forget_unkept(self) -> None:
        """Trust that what was appended is not asked for again."""
        self._unkept, self._left = (), frozenset()

    def _unwritten(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Return those whose lines are not there. Positions alone do not tell: where a database that knew
        less goes on, others may have the same.
        """
        if not self._unkept and not self._left:
            return events
        written = self._left.union(map(_line, self._unkept))
        return [event for event in events if _line(event) not in written]

    def close(self) -> None:
        """Let go of file and lock."""
        self._close_file()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.claim = 0

    def _close_file(self) -> None:
        file, self._file, self._day = self._file, None, None
        if file is not None:
            os.close(file)

    def _of(self, day: date) -> int:
        path = self._directory / f"{day.isoformat()}.jsonl"
        if self._file is not None and self._day == day and _is_at(self._file, path):
            return self._file
        self._close_file()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._day = day
        _cut_torn_line(self._file)
        names = [entry.name for entry in self._directory.iterdir()]
        for name in outdated(names, day, self._retention):
            (self._directory / name).unlink(missing_ok=True)
        return self._file


def _last_lines(directory: Path) -> frozenset[str]:
    """Return what a batch may have written last, line by line. Raises OSError."""
    for path in sorted(directory.glob("*.jsonl"), reverse=True):
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _BATCH_TAIL))
            found = file.read().decode("utf-8", "replace").split("\n")
        if len(found) > 1:
            return frozenset(f"{line}\n" for line in found[-_BATCH - 1 : -1])
    return frozenset()


def _is_at(file: int, path: Path) -> bool:
    """Tell whether an open file is still the one of that name: somebody may have moved it away."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _cut_torn_line(file: int) -> None:
    """Drop the beginning of a line that a crash has left: its event comes again."""
    size = os.fstat(file).st_size
    start = max(0, size - _TAIL)
    tail = os.pread(file, size - start, start)
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(file, start + tail.rfind(b"\n") + 1)
