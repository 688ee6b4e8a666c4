"""The lock on the state directory: two servers on one state would fight.

It says who serves: `gatepost restart` reads there whom to tell, and how it went.
"""

import fcntl
import json
import logging
import os
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Final

from gatepost.node.prepare import CannotServeError
from gatepost.node.privileges import acting_as, worker_identity
from gatepost.operate.serving import LOCK, Serving

_log = logging.getLogger(__name__)

#: Octets that the lock has at least: what stands in it is filled up with spaces.
_LENGTH: Final = 1024


def sole_server(data_dir: Path) -> int:
    """Lock the state directory: two servers on one state would fight.

    Raises:
        CannotServeError: another one runs, or the directory cannot be written.

    """
    try:
        is_new = not data_dir.exists()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # data_dir may be somebody else's, and we root: opened with his rights, so that what he
        # puts there in place of the lock leads nowhere that he could not go himself.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with acting_as(worker_identity(data_dir)):
            lock = os.open(data_dir / LOCK, flags, 0o600)
    except OSError as problem:
        words = f"cannot write to {data_dir}: {(problem.strerror or str(problem)).lower()}"
        raise CannotServeError(f"{words}; give it to the user who runs gatepost") from None
    if is_new:
        _log.warning("%s was not there and begins empty: is data_dir written right?", data_dir)
    found = os.fstat(lock)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(lock)
        raise CannotServeError(f"{data_dir / 'serve.lock'} is no lock of ours; remove it")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise CannotServeError(
            f"another gatepost serves {data_dir}; stop it, or use another data_dir"
        ) from None
    return lock


def taken_over(lock: int, data_dir: Path) -> int:
    """Return a lock that we were given, if it is the one on our state directory.

    Raises:
        CannotServeError: it is not: the configuration names another one now.

    """
    try:
        path = data_dir / LOCK
        is_ours = os.path.samestat(os.fstat(lock), path.stat(follow_symlinks=False))
    except OSError:
        is_ours = False
    if not is_ours:
        words = (
            f"data_dir is {data_dir} now, and another one is served; stop gatepost, and start it"
        )
        raise CannotServeError(words)
    return lock


def write_serving(lock: int, serving: Serving) -> bool:
    """Say in the lock who serves. What cannot be written is not worth an end: False, try again."""
    # In the place that it took when there was room: on a disk that is full it can be changed still.
    octets = json.dumps(asdict(serving)).encode().ljust(_LENGTH)
    try:
        os.pwrite(lock, octets, 0)
        os.ftruncate(lock, len(octets))
    except OSError as problem:
        _log.warning("%s cannot be written: %s", LOCK, problem)
        return False
    return True
