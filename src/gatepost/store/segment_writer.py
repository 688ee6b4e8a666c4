"""Appends contents to a worker's own segment, each batch with one sync.

What of an append that failed is on the disk is cut off; a file whose sync failed is written to no more.
"""

import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Final

from gatepost.store.envelope import Envelope
from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.store.segment_head import head, mark_of
from gatepost.store.segments import Place, create, disk_trouble, make_directory

#: A writer turns to a new segment when the present one has grown to this.
SEGMENT_OCTETS: Final = 64 * 2**20
#: Octets of a name that nobody can guess.
_UNKNOWN: Final = 8
#: pwritev takes at most IOV_MAX buffers; 1024 on Linux and macOS.
_BUFFERS: Final = 1024
#: zlib gives up the GIL above 5 KiB. For content of a few pieces that size the two hand-overs cost
#: more than the sum itself; above it, let other threads run.
_HELD_PIECE: Final = 5 * 1024
_HELD_CONTENT: Final = 64 * 1024


class SegmentWriter:
    """Appends to this process's own segment. Used by one batch at a time, which calls again only when
    the rows of what it took before are committed, or never will be.

    Creates a segment with the first content, so that a process that only looks leaves no trace.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_octets: int = SEGMENT_OCTETS,
        make: Callable[[Path], None] | None = None,
    ) -> None:
        """`make` makes the directory, and raises StoreUnavailableError when it is not ours."""
        self._directory = directory
        self._make = make or make_directory
        self._segment_octets = segment_octets
        self._file: int | None = None
        self._name = ""
        self._mark = b""
        self._offset = 0
        self._begun_at = 0.0

    def append(
        self,
        contents: Sequence[Sequence[bytes]],
        envelopes: Iterable[Envelope | None] = repeat(None),
        position: int = 0,
    ) -> list[Place]:
        """Append contents, each given as pieces, with one sync for all; return where they are.
        Each has its envelope before it, and the position of the last event that is committed.

        Raises:
            DiskFullError: no room; nothing is kept.
            StoreUnavailableError: other trouble; nothing is kept.

        """
        try:
            file = self._open()
            places, buffers = self._lay_out(contents, envelopes, position)
            end = _write(file, buffers, self._offset)
        except OSError as error:
            self._cut()
            trouble = disk_trouble(error)
            if not isinstance(trouble, DiskFullError):
                self._leave()  # it may lie on a disk that is no longer there
            raise trouble from error
        try:
            os.fdatasync(file)
        except OSError as error:
            # The kernel may have dropped the pages: never trust this file's cache again.
            self._cut()
            self._leave()
            raise disk_trouble(error) from error
        self._offset = end
        return places

    @property
    def end(self) -> tuple[str, int]:
        """Where the next content would be laid: in which segment ("": none yet), at which offset."""
        return self._name, self._offset

    def cut_back(self, to: int) -> None:
        """Take back what was appended beyond an offset: no row will ever tell of it. Raises OSError."""
        if self._file is not None:
            os.ftruncate(self._file, to)
            os.fdatasync(self._file)
            self._offset = to

    def rest(self, older_than: float) -> None:
        """Leave a segment that was begun so many seconds ago: while it is ours, nothing of it goes
        from the disk.
        """
        if self._file is not None and time.monotonic() - self._begun_at >= older_than:
            self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._leave()

    def _open(self) -> int:
        if self._file is not None and self._offset >= self._segment_octets:
            self._leave()
        if self._file is None:
            self._name = f"{time.time_ns():016x}{secrets.token_hex(_UNKNOWN)}"
            self._mark = mark_of(self._name)
            self._make(self._directory)
            file = create(self._directory, self._name)
            try:
                # Again: it may have gone away in between. From now on the open file keeps it here.
                self._make(self._directory)
            except StoreUnavailableError:
                os.close(file)
                raise
            self._file = file
            self._begun_at = time.monotonic()
            self._offset = 0
        return self._file

    def _leave(self) -> None:
        # Its lock was kept until the rows were committed: a compactor that had got the lock before
        # would have found a segment without rows, and removed it.
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _cut(self) -> None:
        """Give back what a failed append took; the next one begins at the same offset."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, self._offset)
                os.fdatasync(self._file)

    def _lay_out(
        self,
        contents: Sequence[Sequence[bytes]],
        envelopes: Iterable[Envelope | None],
        position: int,
    ) -> tuple[list[Place], list[bytes]]:
        places = []
        buffers: list[bytes] = []
        offset = self._offset
        for pieces, envelope in zip(contents, envelopes, strict=False):
            length = sum(map(len, pieces))
            crc = _crc(pieces, length)
            before = head(self._mark, envelope, length, crc, position=position)
            offset += len(before)
            places.append(Place(self._name, offset, length, crc))
            buffers.append(before)
            buffers += pieces
            offset += length
        return places, buffers


def _write(file: int, buffers: list[bytes], offset: int) -> int:
    """Write all buffers at an offset and return the offset behind them."""
    for start in range(0, len(buffers), _BUFFERS):
        some = buffers[start : start + _BUFFERS]
        wanted = sum(map(len, some))
        written = os.pwritev(file, some, offset)
        if written < wanted:
            # A short write says nothing of its cause: the next one does.
            rest = memoryview(b"".join(some))[written:]
            while rest:
                done = os.pwrite(file, rest, offset + wanted - len(rest))
                rest = rest[done:]
        offset += wanted
    return offset


def _crc(pieces: Sequence[bytes], length: int) -> int:
    crc = 0
    for piece in pieces:
        if length > _HELD_CONTENT or len(piece) <= _HELD_PIECE:
            crc = zlib.crc32(piece, crc)
            continue
        view = memoryview(piece)
        for start in range(0, len(view), _HELD_PIECE):
            crc = zlib.crc32(view[start : start + _HELD_PIECE], crc)
    return crc
