"""Power is lost: of what powerlog.so noted and nobody synced, some stays and some never was.

Contents: a file comes back as it was at its last sync, and then any of the later changes reach it,
whole or torn at a page, in their order or not at all (`keep` says which). Names: a directory comes
back with the first so many of its unsynced changes, as a journalling file system keeps their order.
"""

import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: struct note of powerlog.c
NOTE = struct.Struct("=IIQQQQQ")
WRITE, RESIZE, CREATE, REMOVE, RENAME = 1, 2, 3, 4, 5
PAGE = 4096
#: Memory that SQLite's processes share; it is gone with them, and made anew.
_SHARED = "-shm"

#: Of so many unsynced changes, which are kept (by number), and whether the last one is torn.
Keep = Callable[[random.Random, int], list[int]]


def nothing(_: random.Random, __: int) -> list[int]:
    """All that was not synced is gone."""
    return []


def the_first(chance: random.Random, count: int) -> list[int]:
    """Changes reached the disk in their order, up to some moment."""
    return list(range(chance.randint(0, count)))


def any_of_them(chance: random.Random, count: int) -> list[int]:
    """A disk with a cache of its own: each change reached it, or not."""
    return [number for number in range(count) if chance.random() < 0.5]


KEEPS: tuple[Keep, ...] = (nothing, the_first, any_of_them)


@dataclass(frozen=True, slots=True)
class Note:
    """One change: of the octets at `offset`, of the size, or of a name (`path`, and for RENAME the
    former name in `old`).
    """

    kind: int
    path: str
    ino: int
    offset: int
    size: int
    old: bytes
    new: bytes


@dataclass(slots=True)
class Lost:
    """How much a power loss took back."""

    changes: int = 0
    names: int = 0
    octets: int = 0


def lose_power(below: Path, log: Path, chance: random.Random, keep: Keep) -> Lost:
    """Turn the files in `below` into what a disk may hold after the power was lost. Nobody may use
    them meanwhile; the notes in `log` are gone afterwards.
    """
    lost = Lost()
    by_ino = {path.stat().st_ino: path for path in below.rglob("*") if path.is_file()}
    by_ino |= {path.stat().st_ino: path for path in (log / "kept").iterdir()}
    for notes in sorted(log.glob("*.data")):
        path = by_ino.get(int(notes.stem))
        if path is not None and not path.name.endswith(_SHARED):
            _take_back_octets(path, list(read(notes)), chance, keep, lost)
    for notes in sorted(log.glob("*.dir")):
        _take_back_names(list(read(notes)), log / "kept", chance, keep, lost)
    for left in (*log.glob("*.data"), *log.glob("*.dir"), *(log / "kept").iterdir()):
        left.unlink()
    for shared in below.glob(f"*{_SHARED}"):
        shared.unlink()
    return lost


def read(path: Path) -> Iterator[Note]:
    """Yield the notes in one log; a last one that its writer's end cut short is dropped: what it
    told of was never begun.
    """
    octets = path.read_bytes()
    at = 0
    while at + NOTE.size <= len(octets):
        kind, first, ino, offset, size, old, new = NOTE.unpack_from(octets, at)
        begin = at + NOTE.size
        at = begin + first + old + new
        if at > len(octets):
            return
        middle = begin + first
        name = os.fsdecode(octets[begin:middle])
        before = octets[middle : middle + old]
        yield Note(kind, name, ino, offset, size, before, octets[middle + old : at])


def _take_back_octets(
    path: Path, notes: list[Note], chance: random.Random, keep: Keep, lost: Lost
) -> None:
    if not notes:
        return
    kept = keep(chance, len(notes))
    with path.open("r+b") as file:
        for note in reversed(notes):
            file.seek(note.offset)
            file.write(note.old)
            file.truncate(note.size)
        for number in kept:
            _make_again(file.fileno(), notes[number], chance, torn=number == kept[-1])
    lost.changes += len(notes) - len(kept)
    lost.octets += sum(len(notes[i].new) for i in range(len(notes)) if i not in set(kept))


def _make_again(file: int, note: Note, chance: random.Random, *, torn: bool) -> None:
    if note.kind == RESIZE:
        os.ftruncate(file, note.offset)
        return
    octets = note.new
    if torn and len(octets) > PAGE:
        octets = octets[: chance.randrange(len(octets)) // PAGE * PAGE]
    os.pwrite(file, octets, note.offset)


def _take_back_names(
    notes: list[Note], kept: Path, chance: random.Random, keep: Keep, lost: Lost
) -> None:
    stay = len(keep(chance, len(notes)))
    for note in reversed(notes[stay:]):
        lost.names += 1
        path = Path(note.path)
        if note.kind == CREATE:
            if path.is_dir():
                for inside in path.iterdir():
                    inside.unlink()
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        elif note.kind == REMOVE:
            os.link(kept / str(note.ino), path)
        elif path.exists():
            path.rename(os.fsdecode(note.old))
            if note.ino:
                os.link(kept / str(note.ino), path)
