"""Root binds and reads keys; workers are somebody else (decision 1): the owner of data_dir."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and group by number."""

    uid: int
    gid: int
    name: str


def worker_identity(data_dir: Path) -> Identity | None:
    """Return whom workers become: the owner of `data_dir` where we are root and it is not root's;
    None where they stay what we are.
    """
    owner = data_dir.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return None
    try:
        name = pwd.getpwuid(owner.st_uid).pw_name
    except KeyError:
        name = str(owner.st_uid)
    return Identity(owner.st_uid, owner.st_gid, name)


def become(identity: Identity) -> None:
    """Give up root for good, in this process."""
    os.initgroups(identity.name, identity.gid) if not identity.name.isdigit() else os.setgroups([])
    os.setgid(identity.gid)
    os.setuid(identity.uid)
