"""Whether threads get on, or stand still for ever.

What the world keeps waiting (a disk, a database, a lock in another process's hands) goes on when the
world does, and a process that was killed for it would find the same again. What never goes on by itself
is a thread that waits for a lock within this process, turns in a circle, or is dead. The kernel tells
these apart (proc(5)); where it says nothing, nobody is judged.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

#: Questions in a row, about a second apart, after which it is said where threads stand still.
_TELL_AFTER: Final = 10
_TASKS: Final = Path("/proc/self/task")
_RUNNING: Final = "R"
#: In a sleep that no signal ends: a disk is waited for.
_DISK: Final = "D"
#: In the name of every place in the kernel where a thread waits for a lock of its own process.
_LOCK: Final = "futex"


class Progress:
    """Of some threads: they take steps, and somebody asks now and then whether they got on."""

    __slots__ = ("_seen", "_steps", "_still")

    def __init__(self) -> None:
        self._steps = 0
        self._seen = 0
        self._still = 0

    def step(self) -> bool:
        """Note a step. Called by the threads, and by SQLite amid a long statement, which our answer,
        always False, lets go on.
        """
        self._steps += 1
        return False

    def made(self, threads: Sequence[threading.Thread]) -> bool:
        """Tell whether a step was taken since the last question, or the threads wait for the world.
        To be asked only where there is something to do.
        """
        steps, was = self._steps, self._seen
        self._seen = steps
        if steps != was or _waits_for_the_world(threads):
            self._still = 0
            return True
        self._still += 1
        if self._still == _TELL_AFTER:
            _log.error("store: it does not get on, and waits for nothing:\n%s", _where(threads))
        return False


def _waits_for_the_world(threads: Sequence[threading.Thread]) -> bool:
    """Tell whether one of the threads does, or any of the process waits for a disk: it may hold what
    they wait for. Without a kernel that says, it may be so.
    """
    try:
        if any(_state(task) == _DISK for task in _TASKS.iterdir()):
            return True
        tasks = [_TASKS / str(each.native_id) for each in threads if each.is_alive()]
        return any(
            _state(task) != _RUNNING and _LOCK not in (task / "wchan").read_text() for task in tasks
        )
    except OSError:
        return True


def _state(task: Path) -> str:
    """Return the letter for what a thread does."""
    return (task / "stat").read_text().rpartition(")")[2].split(maxsplit=1)[0]


def _where(threads: Sequence[threading.Thread]) -> str:
    """Return the lines of our sources where threads are."""
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way to ask
    said = []
    for each in threads:
        frame = frames.get(each.ident or 0)
        lines = traceback.format_stack(frame) if frame is not None else ["  it is dead\n"]
        said.append(f"{each.name}:\n{''.join(lines)}")
    return "".join(said)
