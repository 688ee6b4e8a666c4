"""What the shim and the loss do to files, before they are believed about a relay."""

import random
from pathlib import Path

import pytest

from tests.crash.power.conftest import Power
from tests.crash.power.loss import any_of_them, nothing

CHANCE = random.Random(0)

_SYNCED = """
import os
f = open('a', 'wb', 0)
f.write(b'x')
os.fsync(f.fileno())
os.fsync(os.open('.', os.O_RDONLY))
"""

#: A program, and what its directory holds after it ended and the power was lost.
CASES: dict[str, tuple[str, dict[str, bytes]]] = {
    "no sync at all": ("open('a', 'wb').write(b'x')", {}),
    "content synced, its name not": (
        "import os; f = open('a', 'wb'); f.write(b'x'); f.flush(); os.fsync(f.fileno())",
        {},
    ),
    "content and name synced": (
        _SYNCED,
        {"a": b"x"},
    ),
    "name synced, its content not": (
        "import os; f = open('a', 'wb', 0); os.fsync(os.open('.', os.O_RDONLY)); f.write(b'x')",
        {"a": b""},
    ),
    "over what was there": (
        "import os; f = os.open('old', os.O_RDWR); os.pwrite(f, b'XY', 1); os.pwritev(f, [b'Z'], 5)",
        {},
    ),
    "appended": ("f = open('old', 'ab', 0); f.write(b'x'); f.write(b'y')", {}),
    "cut short": ("f = open('old', 'r+b', 0); f.truncate(2)", {}),
    "emptied when opened": ("open('old', 'wb')", {}),
    "written, synced, written": (
        "import os; f = open('old', 'r+b', 0); f.write(b'SY'); os.fdatasync(f.fileno()); f.write(b'NO')",
        {"old": b"SYd"},
    ),
    "removed": ("import os; os.unlink('old')", {}),
    "removed and synced": (
        "import os; os.unlink('old'); os.fsync(os.open('.', os.O_RDONLY))",
        {"old": b"gone"},
    ),
    "renamed over another": (
        "import os; f = open('n', 'wb', 0); f.write(b'new'); os.fsync(f.fileno()); os.rename('n', 'old')",
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_when_nothing_unsynced_stays(power: Power, name: str) -> None:
    program, expected = CASES[name]
    (power.below / "old").write_bytes(b"old")
    power.run(program)
    power.lose(CHANCE, nothing)
    wanted = {"old": b"old"} | expected
    if wanted["old"] == b"gone":
        del wanted["old"]
    assert held(power.below) == wanted


def test_a_disk_that_lies_keeps_nothing(power: Power) -> None:
    power.run(_SYNCED, lie=True)
    power.lose(CHANCE, nothing)
    assert held(power.below) == {}


def test_any_changes_may_have_reached_the_disk(power: Power) -> None:
    (power.below / "old").write_bytes(b"....")
    seen = set()
    for seed in range(40):
        power.run(
            "import os; f = open('old', 'r+b', 0)\nfor i in range(4): os.pwrite(f.fileno(), b'x', i)"
        )
        power.lose(random.Random(seed), any_of_them)
        seen.add((power.below / "old").read_bytes())
        (power.below / "old").write_bytes(b"....")
    assert len(seen) > 5


def held(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in directory.iterdir()}
