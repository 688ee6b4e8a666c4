"""Rows out of single pages of an SQLite database, where the pages above them are damaged.

After the SQLite file format (sqlite.org/fileformat2.html, §1.5, §1.6 and §2.1), for tables WITHOUT
ROWID: each page of their tree holds rows, the key's columns first. Whose a row is, is not written on
its page: who asks must tell by its form.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

Value = int | float | str | bytes | None

_MAGIC: Final = b"SQLite format 3\0"
_PAGE: Final = 4096
_INTERIOR: Final = 2
_LEAF: Final = 10
_WIDTHS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
#: A row of ours is no longer than that; a length beyond it is damage.
_MOST: Final = 16 * 2**20


class _TornError(Exception):
    """What stands there is no row."""


class Pages:
    """The pages of a database file that is read as it lies there: copy the WAL into it first."""

    def __init__(self, path: Path) -> None:
        self._octets = path.read_bytes()
        #: Ours are always so large, and used whole: a damaged first page is not asked.
        self._size = self._usable = _PAGE
        self._has_head = self._octets.startswith(_MAGIC)
        self._count = len(self._octets) // self._size

    def rows(self) -> Iterator[tuple[Value, ...]]:
        """Return all rows of all pages that are in use; none twice, in no order."""
        free = self._free()
        for number in range(2, self._count + 1):
            if number not in free:
                yield from self._rows_of(self._page(number))

    def _page(self, number: int) -> bytes:
        return self._octets[(number - 1) * self._size : number * self._size]

    def _free(self) -> set[int]:
        """Return the pages of the freelist (§1.5): what stands there was deleted."""
        free: set[int] = set()
        trunk = int.from_bytes(self._octets[32:36], "big") if self._has_head else 0
        while 0 < trunk <= self._count and trunk not in free:
            free.add(trunk)
            page = self._page(trunk)
            trunk, count = struct.unpack(">II", page[:8])
            count = min(count, self._usable // 4 - 2)
            free.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
        return free

    def _rows_of(self, page: bytes) -> Iterator[tuple[Value, ...]]:
        if page[0] not in {_INTERIOR, _LEAF}:
            return
        start = 12 if page[0] == _INTERIOR else 8
        count = int.from_bytes(page[3:5], "big")
        if start + 2 * count > self._size:
            return
        for at in struct.unpack(f">{count}H", page[start : start + 2 * count]):
            try:
                yield _record(self._payload(page, at + (4 if page[0] == _INTERIOR else 0)))
            except (_TornError, IndexError, struct.error, UnicodeDecodeError):
                continue

    def _payload(self, page: bytes, at: int) -> bytes:
        """Return a cell's octets, those on overflow pages included (§1.6)."""
        length, at = _varint(page, at)
        if length > _MOST:
            raise _TornError
        most = (self._usable - 12) * 64 // 255 - 23
        least = (self._usable - 12) * 32 // 255 - 23
        local = length
        if length > most:
            local = least + (length - least) % (self._usable - 4)
            local = local if local <= most else least
        payload = page[at : at + local]
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while len(payload) < length:
            if not 0 < following <= self._count:
                raise _TornError
            more = self._page(following)
            following = int.from_bytes(more[:4], "big")
            payload += more[4 : self._usable]
        return payload[:length]


def _record(payload: bytes) -> tuple[Value, ...]:
    """Return the values of a record (§2.1)."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    at = end
    for kind in kinds:
        width = _width(kind)
        octets = payload[at : at + width]
        if len(octets) != width:
            raise _TornError
        values.append(_value(kind, octets))
        at += width
    return tuple(values)


def _width(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    return 8 if kind == 7 else _WIDTHS.get(kind, 0)


def _value(kind: int, octets: bytes) -> Value:
    match kind:
        case 0:
            return None
        case 7:
            return float(struct.unpack(">d", octets)[0])
        case 8 | 9:
            return kind - 8
        case 10 | 11:
            raise _TornError
        case _ if kind in _WIDTHS:
            return int.from_bytes(octets, "big", signed=True)
        case _:
            return octets.decode() if kind % 2 else octets


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(9):
        octet = octets[at + number]
        if number == 8:
            return value << 8 | octet, at + 9
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, at + number + 1
    raise _TornError
