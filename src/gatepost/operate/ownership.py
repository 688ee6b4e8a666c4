"""Work as the owner of data_dir, and as nobody else (decision 13).

Files that another user leaves there could not be read by the server afterwards.
"""

import os
import pwd
from pathlib import Path


class OwnershipError(Exception):
    """This user may not work on data_dir. `what` and `mend` are for a person."""

    def __init__(self, what: str, mend: str) -> None:
        self.what, self.mend = what, mend
        super().__init__(f"{what}: {mend}")


def become_owner(data_dir: Path) -> None:
    """Switch to the owner of `data_dir` if root asks; for good, with its groups.

    Raises:
        OwnershipError: it is not there, or is somebody else's.

    """
    try:
        owner = data_dir.stat().st_uid
    except FileNotFoundError:
        what = f"there is no state directory {data_dir}"
        raise OwnershipError(what, 'make it with "gatepost init", or mend data_dir') from None
    except OSError as error:
        what = f"the state directory {data_dir} cannot be looked at ({error.strerror})"
        raise OwnershipError(what, "run as the user who owns it") from None
    user = os.geteuid()
    if user == owner:
        return
    if user != 0:
        what = f"{data_dir} belongs to {_name(owner)}, and this is {_name(user)}"
        raise OwnershipError(what, f"run as its owner: sudo -u {_name(owner)} gatepost …")
    _switch(owner)


def _switch(owner: int) -> None:
    try:
        entry = pwd.getpwuid(owner)
    except KeyError:
        os.setgroups([])
        os.setgid(owner)
    else:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
    os.setuid(owner)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
