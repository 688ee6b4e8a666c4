"""Who serves a state directory, as the server wrote it into its lock; and telling it to restart.

The lock lies in a directory that may be somebody else's, and root may ask: nothing that stands
there is believed before the process itself has been looked at.
"""

import fcntl
import json
import os
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: The server's lock in data_dir.
LOCK: Final = "serve.lock"
#: No link is followed, no pipe waited for.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MOST: Final = 4096
#: Seconds that a successor may take, and some to spare; between two looks.
PATIENCE: Final = 90.0
_LOOK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Serving:
    """The process that serves; how many successors of it came to nothing, and the last one's
    reason.
    """

    pid: int
    failed: int = 0
    because: str = ""


class RestartError(Exception):
    """The server was not replaced; `what` and `mend` are for a person."""

    def __init__(self, what: str, mend: str) -> None:
        self.what, self.mend = what, mend
        super().__init__(f"{what}: {mend}")


def is_served(data_dir: Path) -> bool:
    """Tell whether a server runs on this state directory."""
    try:
        lock = os.open(data_dir / LOCK, _FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def who_serves(data_dir: Path) -> Serving | None:
    """Return who serves; None where nobody does, or one that does not say so."""
    if not is_served(data_dir):
        return None
    try:
        lock = os.open(data_dir / LOCK, _FLAGS)
        try:
            if not stat.S_ISREG(os.fstat(lock).st_mode):
                return None
            found = json.loads(os.read(lock, _MOST))
        finally:
            os.close(lock)
        serving = Serving(int(found["pid"]), int(found["failed"]), str(found["because"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return serving if serving.pid > 1 and _holds(serving.pid, data_dir / LOCK) else None


def _holds(pid: int, path: Path) -> bool:
    """Tell whether a process has a file open: the server has its lock."""
    try:
        wanted = path.stat(follow_symlinks=False)
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found = entry.stat()
            except OSError:
                continue
            if os.path.samestat(found, wanted):
                return True
    except OSError:
        return False
    return False


def restart(data_dir: Path, pause: Callable[[float], None] = time.sleep) -> Serving:
    """Have the program on the disk take the place of the one that serves; return who serves then.

    Raises:
        RestartError: nobody serves, it may not be told, or the new one came to nothing.

    """
    before = who_serves(data_dir)
    if before is None:
        what = f"no gatepost serves {data_dir}, or none that this user may look at"
        raise RestartError(what, 'start it: "gatepost serve"; or ask as root')
    try:
        os.kill(before.pid, signal.SIGUSR2)
    except OSError as problem:
        what = f"process {before.pid} cannot be told: {(problem.strerror or '').lower()}"
        raise RestartError(what, "ask as root") from None
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        pause(_LOOK)
        now = who_serves(data_dir)
        if now is None:
            if not is_served(data_dir):
                raise RestartError("the server has ended", "see its log")
        elif now.pid != before.pid:
            return now
        elif now.failed != before.failed:
            what = f"the new program came to nothing ({now.because}); the former one goes on"
            raise RestartError(what, 'see the log, and "gatepost check"')
    raise RestartError("the server does not say that it was replaced", "see its log")
