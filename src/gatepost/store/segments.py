"""Content in append-only segments: files of one directory, each written by one worker.

What the octets of a segment `data_dir/content/NAME.seg` are is told by rows that hold a `Place`;
heads before the contents tell it when the database is damaged (`segment_head`). Order makes this
safe: octets are synced before their rows are committed (an orphan is garbage, never a loss), and a
segment goes after the commit that dropped its last row. How far a segment's contents are told of is
a row, too (`segment_log`): what stands beyond it after a loss of power is brought back (`sqlite_redo`).

Whoever appends holds an flock on the segment, so that "nobody writes here any more" is one system
call, and a dead worker needs no register. No segment is ever appended to by a second process: a
torn tail stays garbage.
"""

import errno
import fcntl
import os
import secrets
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import Final

from gatepost.store.envelope import Envelope
from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    ContentUnreadableError,
    DiskFullError,
    StoreUnavailableError,
)
from gatepost.store.segment_head import head, mark_of
from gatepost.wire.values import value

#: A writer turns to a new segment when the present one has grown to this.
SEGMENT_OCTETS: Final = 64 * 2**20
_SUFFIX: Final = ".seg"
_UNBORN: Final = ".new"
#: Octets of a name that nobody can guess.
_UNKNOWN: Final = 8
#: pwritev takes at most IOV_MAX buffers; 1024 on Linux and macOS.
_BUFFERS: Final = 1024
#: zlib gives up the GIL above 5 KiB. For content of a few pieces that size the two hand-overs cost
#: more than the sum itself; above it, let other threads run.
_HELD_PIECE: Final = 5 * 1024
_HELD_CONTENT: Final = 64 * 1024
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: What may be wrong with one file, or with all: a bad sector or a dead disk, a mode, a name.
_OF_ONE_FILE: Final = {errno.EIO, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR}
#: So many other segments are asked which it is, and for so many octets of each.
_ASKED: Final = 8
_SAMPLE: Final = 4096


class SegmentGoneError(Exception):
    """The row was read before its content moved on: look again."""


@value(frozen=True, slots=True)
class Place:
    """Where content lies: segment name, offset and length in octets, CRC-32."""

    segment: str
    offset: int
    length: int
    crc: int


def disk_trouble(error: OSError) -> StoreUnavailableError:
    """Return an operating system error as what the store raises."""
    if error.errno in _FULL:
        return DiskFullError(str(error))
    return StoreUnavailableError(str(error))


def make_directory(path: Path) -> None:
    """Make a directory that only its owner enters, durably. Raises OSError."""
    if not path.is_dir():
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


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
            if error.errno not in _FULL:
                self._leave()  # it may lie on a disk that is no longer there
            raise disk_trouble(error) from error
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
            file = _create(self._directory, self._name)
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


def read_content(directory: Path, place: Place) -> bytes:
    """Return content.

    Raises:
        SegmentGoneError: there is no such segment (any more).
        ContentDamagedError: the checksum does not hold.
        ContentUnreadableError: it cannot be read, and others can.
        ContentAwayError: nor can others.
        StoreUnavailableError: other trouble.

    """
    try:
        file = os.open(segment_path(directory, place.segment), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if not any(directory.glob(f"*{_SUFFIX}")):
            # Not this one segment is lost: the whole directory is away, say a mount.
            msg = f"{directory} is missing, or holds no content at all"
            raise ContentAwayError(msg) from error
        raise SegmentGoneError(place.segment) from error
    except OSError as error:
        raise _unreadable(directory, place, error) from error
    try:
        octets = _read(file, place.offset, place.length)
    except OSError as error:
        raise _unreadable(directory, place, error) from error
    finally:
        os.close(file)
    if len(octets) != place.length or zlib.crc32(octets) != place.crc:
        msg = f"segment {place.segment}, {place.length} octets at {place.offset}"
        raise ContentDamagedError(msg)
    return octets


def _unreadable(directory: Path, place: Place, error: OSError) -> Exception:
    """Return what it means that content cannot be read: it alone, or the whole disk?"""
    if error.errno not in _OF_ONE_FILE:
        return disk_trouble(error)
    try:
        others = [name for name in segments(directory)[::-1] if name != place.segment]
    except OSError:
        others = []
    if not any(_gives(directory, name) for name in others[:_ASKED]):
        return ContentAwayError(str(error))
    words = os.strerror(error.errno)
    msg = f"segment {place.segment}, {place.length} octets at {place.offset}: {words}"
    return ContentUnreadableError(msg)


def _gives(directory: Path, segment: str) -> bool:
    """Tell whether the disk gives something of a segment; what memory has of it proves nothing."""
    try:
        file = os.open(segment_path(directory, segment), os.O_RDONLY | os.O_CLOEXEC)
        try:
            if sys.platform == "linux":
                os.posix_fadvise(file, 0, _SAMPLE, os.POSIX_FADV_DONTNEED)
            return bool(_read(file, 0, _SAMPLE))
        finally:
            os.close(file)
    except OSError:
        return False


def segments(directory: Path) -> list[str]:
    """Return the names of all segments, oldest first; none where there is no directory."""
    if not directory.is_dir():
        return []
    return sorted(path.stem for path in directory.iterdir() if path.suffix == _SUFFIX)


@contextmanager
def abandoned(directory: Path, segment: str, *, is_sure: bool = False) -> Iterator[int | None]:
    """Hold a segment that no process writes to, and give its size in octets; None if one does, or
    there is no telling.

    While it is held, no row for it can appear.

    Raises:
        StoreUnavailableError: there is no telling, and one has to be `is_sure`.

    """
    try:
        file = os.open(segment_path(directory, segment), os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if is_sure and not isinstance(error, FileNotFoundError):
            raise disk_trouble(error) from error
        yield None
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if is_sure and not isinstance(error, BlockingIOError):
            raise disk_trouble(error) from error
        yield None
    else:
        yield os.fstat(file).st_size
    finally:
        os.close(file)


def size(directory: Path, segment: str) -> int:
    """Return a segment's octets; 0 when it is gone."""
    try:
        return segment_path(directory, segment).stat().st_size
    except OSError:
        return 0


def age(directory: Path, segment: str) -> float:
    """Return the seconds since a segment was last written to; 0 when it is gone."""
    try:
        return time.time() - segment_path(directory, segment).stat().st_mtime
    except OSError:
        return 0.0


def remove(directory: Path, segment: str) -> None:
    """Remove a segment that is held by `abandoned` and has no rows, for good. Raises OSError."""
    segment_path(directory, segment).unlink(missing_ok=True)
    sync_directory(directory)


def remove_unborn(directory: Path, older_than: float) -> None:
    """Remove what a crash left between making a segment and naming it; age in seconds."""
    if not directory.is_dir():
        return
    for path in directory.glob(f"*{_UNBORN}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > older_than:
                path.unlink()


def segment_path(directory: Path, segment: str) -> Path:
    """Return a segment's file."""
    return directory / f"{segment}{_SUFFIX}"


def _create(directory: Path, name: str) -> int:
    """Make a segment that is locked from the moment when others can see it."""
    unborn = directory / f"{name}{_UNBORN}"
    file = os.open(unborn, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unborn.rename(segment_path(directory, name))
        sync_directory(directory)
    except OSError:
        os.close(file)
        raise
    return file


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


def _read(file: int, offset: int, length: int) -> bytes:
    octets = os.pread(file, length, offset)
    while len(octets) < length:
        more = os.pread(file, length - len(octets), offset + len(octets))
        if not more:
            break
        octets += more
    return octets


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
