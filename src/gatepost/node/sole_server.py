"""The lock on the state directory: two servers on one state would fight."""

import fcntl
import os
import stat
from pathlib import Path

from gatepost.node.prepare import CannotServeError
from gatepost.node.privileges import acting_as, worker_identity


def sole_server(data_dir: Path) -> int:
    """Lock the state directory: two servers on one state would fight.

    Raises:
        CannotServeError: another one runs, or the directory cannot be written.

    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # data_dir may be somebody else's, and we root: opened with his rights, so that what he
        # puts there in place of the lock leads nowhere that he could not go himself.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with acting_as(worker_identity(data_dir)):
            lock = os.open(data_dir / "serve.lock", flags, 0o600)
    except OSError as problem:
        words = f"cannot write to {data_dir}: {(problem.strerror or str(problem)).lower()}"
        raise CannotServeError(f"{words}; give it to the user who runs gatepost") from None
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
