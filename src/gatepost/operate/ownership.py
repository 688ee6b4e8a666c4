"""Work as the owner of data_dir, and as nobody else (decision 13).

Files that another user leaves there could not be read by the server afterwards.
"""

import os
import pwd
from pathlib import Path
from typing import Final

#: What to do where the owner of data_dir may not read the program.
PROGRAM_MEND: Final = "make the environment where everybody may read it, say below /opt, with a Python like /usr/bin/python3"


class OwnershipError(Exception):
    """This user may not work on data_dir. `what` and `mend` are for a person."""

    def __init__(self, what: str, mend: str) -> None:
        self.what, self.mend = what, mend
        super().__init__(f"{what}: {mend}")


def become_owner(data_dir: Path) -> None:
    """Switch to the owner of `data_dir` if root asks; for good, with its groups.

    Raises:
        OwnershipError: it is not there, or is somebody else's; or its owner may not read this program.

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
    os.seteuid(owner)
    closed = unreadable_program()
    os.seteuid(0)
    if closed:
        raise OwnershipError(closed, PROGRAM_MEND)
    os.setuid(owner)


def unreadable_program() -> str:
    """Return what of this program its user may not read, in words, "" for nothing: root installs Python
    below /root, and what is imported later, as another user, is then found nowhere.
    """
    for what, file in (("Python", os.__file__), ("Gatepost", __file__)):
        try:
            os.close(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
        except PermissionError:
            return f"{_name(os.geteuid())}, who owns data_dir, may not read {what} ({file})"
        except OSError:
            continue  # it need not be a file
    return ""


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
