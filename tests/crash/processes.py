"""The processes of a node, as the kernel tells of them (Linux)."""

import os
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the living children of a process, in the order of their birth."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (status := _status(int(entry.name))) is not None:
            state, parent, born = status
            if parent == pid and state != "Z":
                found.append((born, int(entry.name)))
    return [child for _, child in sorted(found)]


def is_alive(pid: int) -> bool:
    """Tell whether any thread of a process runs: until the last one ends, its ports are open."""
    try:
        return any(_state(task) not in "ZX" for task in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return False


def has_open(pid: int, path: Path) -> bool:
    """Tell whether a process has a file open."""
    try:
        files = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return path.resolve() in files


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    return sum(entry.is_socket() for entry in Path(f"/proc/{pid}/fd").iterdir())


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children that have ended and were buried."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def _status(pid: int) -> tuple[str, int, int] | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), int(fields[19])
