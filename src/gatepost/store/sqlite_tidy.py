"""Housekeeping of segments: those that are garbage for the greater part."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import SubmissionId
from gatepost.store import segments
from gatepost.store.content_identity import recognise
from gatepost.store.envelope import Envelope
from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    Reading,
    StoreUnavailableError,
)
from gatepost.store.queue_view import QueueFilter
from gatepost.store.rows import NewerRowError, microseconds
from gatepost.store.segment_records import needed_octets
from gatepost.store.segments import Place, SegmentGoneError, read_content
from gatepost.store.sqlite_redo import GONE, LOG, TOLD, UNSEEN, is_unseen
from gatepost.store.sqlite_transaction import SqliteTransaction
from gatepost.store.tidy import Housekeeper

_log = logging.getLogger(__name__)

#: Segments younger than this (seconds) lose their content by themselves.
_SETTLED: Final = 600.0
#: Content is moved on when less than this share of a segment is needed, so many octets at once.
_NEEDED: Final = 0.5
_MOVE_OCTETS: Final = 8 * 2**20
#: For so long it is remembered which segments were removed: a back-up may bring them back.
_GONE_KEPT: Final = timedelta(days=400)
_TOLD_OF_PRESENT: Final = f"{TOLD} WHERE through < {GONE}"
_OPEN: Final = (DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.HELD)
#: More than any message has.
_MOST_DELIVERIES: Final = 2**31


@dataclass(frozen=True, slots=True)
class Needed:
    """So many octets of a segment are needed while so many contents of it are."""

    count: int
    octets: int


@dataclass(frozen=True, slots=True)
class SqliteHousekeeper(Housekeeper):
    """Also keeps segments."""

    directory: Path
    recover: Callable[[], Awaitable[int]]
    #: By segment, what was found out by reading it in full; kept from round to round.
    read: dict[str, Needed] = field(default_factory=dict)

    async def tidy(self, now: datetime) -> None:
        """Do all of it. Raises StoreUnavailableError."""
        await Housekeeper.tidy(self, now)
        await self._tidy_segments(now)

    # -- segments
    async def _tidy_segments(self, now: datetime) -> None:
        # In a directory of another store every segment would be one that no row needs.
        await asyncio.to_thread(recognise, self.directory)
        await asyncio.to_thread(segments.remove_unborn, self.directory, _SETTLED)
        names = await asyncio.to_thread(segments.segments, self.directory)
        # One look at all rows finds who deserves a closer one: of many segments few do.
        sql = "SELECT segment, count(*), sum(length) FROM content GROUP BY segment"
        found = {row[0]: (row[1], row[2]) for row in await self._rows(sql)} if names else {}
        for gone in self.read.keys() - set(names):
            del self.read[gone]
        await self._forget_gone(now)
        told = {row[0]: row[1] for row in await self._rows(_TOLD_OF_PRESENT)}
        if any(name.startswith(UNSEEN) for name in told):
            await self.recover()
            told = {row[0]: row[1] for row in await self._rows(_TOLD_OF_PRESENT)}
        for name in names:
            if is_unseen(told, name):
                continue
            if segments.size(self.directory, name) > told.get(name, 0):
                await self._close(name)
            count, octets = found.get(name, (0, 0))
            if (read := self.read.get(name)) is not None and read.count == count:
                octets = read.octets
            if self._is_needed(name, segments.size(self.directory, name), count, octets):
                continue
            with segments.abandoned(self.directory, name) as size:
                if size is not None:
                    await self._tidy_segment(name, size)

    async def _forget_gone(self, now: datetime) -> None:
        before = f"{microseconds(now - _GONE_KEPT) * 1000:016x}"  # names begin with their time
        await self._execute(
            "DELETE FROM segment_log WHERE through = ? AND segment < ?", GONE, before
        )

    async def _close(self, name: str) -> None:
        """Note that no row is missing of what stands in a segment, where its writer has died."""
        with segments.abandoned(self.directory, name) as size:
            if size is not None:
                await self._execute(LOG, name, size)

    async def _tidy_segment(self, name: str, size: int) -> None:
        """Move on what is left in a segment, or remove it. It is held: no row can be added."""
        sql = "SELECT offset, length FROM content WHERE segment = ?"
        lengths = {row[0]: row[1] for row in await self._rows(sql, name)}
        if lengths:
            try:
                needed = await asyncio.to_thread(needed_octets, self.directory, name, lengths)
            except StoreUnavailableError as trouble:
                _log.error("store: segment %s stays: %s", name, trouble)
                return
            self.read[name] = Needed(len(lengths), needed)
            if self._is_needed(name, size, len(lengths), needed):
                return
        if lengths and not await self._move_all(name):
            return
        try:
            await asyncio.to_thread(segments.remove, self.directory, name)
            await self._execute(LOG, name, GONE)
        except OSError as trouble:
            _log.error("store: segment %s stays, and is not needed: %s", name, trouble)
        else:
            _log.debug("store: removed segment %s of %d octets", name, size)

    def _is_needed(self, name: str, size: int, count: int, needed: int) -> bool:
        """Tell whether a segment stays as it is: so much of it is needed, or it is young."""
        young = segments.age(self.directory, name) < _SETTLED
        return bool(count) and (needed > size * _NEEDED or young)

    async def _move_all(self, name: str) -> bool:
        """Copy what a segment still holds into our own; False when something could not be read."""
        sql = (
            "SELECT submission_id, segment, offset, length, crc FROM content"
            " WHERE segment = ? ORDER BY offset"
        )
        rows = await self._rows(sql, name)
        contents = [(SubmissionId(row[0]), Place(*row[1:])) for row in rows]
        is_whole = True
        for some in _portions(contents):
            moved = await asyncio.gather(*(self._move(*content) for content in some))
            is_whole = is_whole and all(moved)
        return is_whole

    async def _move(self, submission_id: SubmissionId, place: Place) -> bool:
        try:
            octets = await asyncio.to_thread(read_content, self.directory, place)
        except (ContentDamagedError, ContentAwayError, SegmentGoneError) as error:
            _log.error(
                "store: content of %s stays: damaged or unreadable: %s", submission_id, error
            )
            return False

        def job(transaction: SqliteTransaction) -> None:
            transaction.move_content(submission_id, place)

        envelope = await self.ask(lambda reading: _envelope(reading, submission_id))
        await self.change(job, (submission_id, (octets,)), envelope)
        return True


def _envelope(reading: Reading, submission_id: SubmissionId) -> Envelope | None:
    """Return what is left to do of a message."""
    which = QueueFilter(id=submission_id, states=_OPEN)
    try:
        submission = reading.submission(submission_id)
        rows = reading.deliveries(which, limit=_MOST_DELIVERIES)
    except NewerRowError:
        return None  # a program that knows less writes none at all
    if submission is None:
        return None
    return Envelope(submission, [row.delivery for row in rows], is_certain=True)


def _portions(
    contents: Sequence[tuple[SubmissionId, Place]],
) -> list[list[tuple[SubmissionId, Place]]]:
    portions: list[list[tuple[SubmissionId, Place]]] = []
    octets = _MOVE_OCTETS
    for content in contents:
        if octets >= _MOVE_OCTETS:
            portions.append([])
            octets = 0
        portions[-1].append(content)
        octets += content[1].length
    return portions
