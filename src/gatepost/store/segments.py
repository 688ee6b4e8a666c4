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
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    ContentUnreadableError,
    DiskFullError,
    StoreUnavailableError,
)
from gatepost.wire.values import value

_SUFFIX: Final = ".seg"
_UNBORN: Final = ".new"
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


def create(directory: Path, name: str) -> int:
    """Make a segment that is locked from the moment when others can see it; return its open file.

    Raises OSError.
    """
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


def _read(file: int, offset: int, length: int) -> bytes:
    octets = os.pread(file, length, offset)
    while len(octets) < length:
        more = os.pread(file, length - len(octets), offset + len(octets))
        if not more:
            break
        octets += more
    return octets
