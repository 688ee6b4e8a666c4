"""Root binds and reads keys; workers are somebody else (decision 1): the owner of data_dir."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
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
        entry = pwd.getpwuid(owner.st_uid)
    except KeyError:
        return Identity(owner.st_uid, owner.st_gid, str(owner.st_uid))
    # Not the directory's group: "chown gatepost" alone leaves it root's.
    return Identity(owner.st_uid, entry.pw_gid, entry.pw_name)


@contextmanager
def acting_as(identity: Identity | None) -> Iterator[None]:
    """Touch files with this user's rights and no others, root's neither; None: as we are.

    A directory of his may hold links to files that are not his. Only for a process with one
    thread: the rights are the process's.
    """
    if identity is None:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([] if identity.name.isdigit() else os.getgrouplist(identity.name, identity.gid))
    os.setegid(identity.gid)
    os.seteuid(identity.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def become(identity: Identity) -> None:
    """Give up root for good, in this process."""
    os.initgroups(identity.name, identity.gid) if not identity.name.isdigit() else os.setgroups([])
    os.setgid(identity.gid)
    os.setuid(identity.uid)
