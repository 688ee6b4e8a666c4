"""What segments tell, when the database does not: contents with their envelopes, in order.

Rows say where content lies; nobody reads the heads between them until something is damaged, or a
segment is to be emptied. Segments of older programs have none.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from gatepost.store.envelope import Envelope
from gatepost.store.segment_head import mark_of, read_head
from gatepost.store.segments import Place, age, disk_trouble, segment_path, segments
from gatepost.wire.values import value

#: Octets that are read at once; of those that a disk does not give, zeros stand there.
_BLOCK: Final = 2**20
#: So many segments, and octets of each, tell what had been committed.
_YOUNGEST: Final = 16
_TAIL: Final = 4 * 2**20


@value(frozen=True, slots=True)
class Record:
    """One content of a segment, and its envelope; None where it has none, or none that we know.
    `before`: how many octets stand before the content on its account; `position`: of the last event
    that its writer had committed by then.
    """

    place: Place
    envelope: Envelope | None
    before: int
    position: int


def records(
    directory: Path, segment: str, begin: int = 0, *, is_sure: bool = False
) -> Iterator[Record]:
    """Return what can be read of a segment from an offset on, in order; contents themselves are not
    looked at.

    Raises:
        StoreUnavailableError: the file cannot be read at all; or, to be `is_sure`, any part of it.

    """
    octets = _octets(segment_path(directory, segment), begin, is_sure=is_sure)
    mark = mark_of(segment)
    at = octets.find(mark)
    while at >= 0:
        found = read_head(octets, at)
        behind = at + 1
        if found is not None:
            behind = at + found.size + found.length
            place = Place(segment, begin + at + found.size, found.length, found.crc)
            yield Record(place, found.envelope, found.size, found.position)
        # The next one stands right there; or, where something is destroyed, further on.
        at = octets.find(mark, behind)


def highest_position(directory: Path) -> int:
    """Return the last position that had been committed when the youngest segments were written to;
    0 where none tells.

    Raises:
        StoreUnavailableError: a file cannot be read at all.

    """
    names = sorted(segments(directory), key=lambda name: age(directory, name))
    return max((_last_position(directory, name) for name in names[:_YOUNGEST]), default=0)


def _last_position(directory: Path, segment: str) -> int:
    octets = _octets(segment_path(directory, segment), -_TAIL)
    mark = mark_of(segment)
    at = octets.rfind(mark)
    while at >= 0:
        if (found := read_head(octets, at)) is not None:
            return found.position
        at = octets.rfind(mark, 0, at)
    return 0


def needed_octets(directory: Path, segment: str, lengths: Mapping[int, int]) -> int:
    """Return how many octets of a segment are needed for contents at these offsets, of these
    lengths: their heads, too, which of many short messages are the greater part.

    Raises:
        StoreUnavailableError: the file cannot be read at all.

    """
    heads = {record.place.offset: record.before for record in records(directory, segment)}
    return sum(length + heads.get(offset, 0) for offset, length in lengths.items())


def _octets(path: Path, begin: int = 0, *, is_sure: bool = False) -> bytes:
    """Return a file from an offset on, counted from its end if negative, with zeros where the disk
    does not give what stood there.

    Raises:
        StoreUnavailableError: it cannot be opened; or, to be `is_sure`, read.

    """
    blocks = []
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(file).st_size
            first = begin if begin >= 0 else max(0, size + begin)
            for start in range(first, size, _BLOCK):
                wanted = min(_BLOCK, size - start)
                block = b""
                with suppress(*(() if is_sure else (OSError,))):
                    block = os.pread(file, wanted, start)
                blocks.append(block.ljust(wanted, b"\0"))
        finally:
            os.close(file)
    except OSError as error:
        raise disk_trouble(error) from error
    return b"".join(blocks)
