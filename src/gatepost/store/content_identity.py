"""Is this the directory that our contents lie in? A disk may not be mounted, or another one is.

The directory has a file with a random value, and the state directory beside it remembers that value. It
begins with the first content. Where the two differ nothing is read, written or tidied away there, and mail
waits until the right directory is back.
"""

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from gatepost.store.protocols import ContentAwayError
from gatepost.store.segments import disk_trouble, make_directory, segments, sync_directory
from gatepost.store.sqlite_place import CONTENT, store_lock

_log = logging.getLogger(__name__)

#: In the state directory, and in the directory of contents.
REMEMBERED: Final = "content.id"
WORN: Final = "identity"
#: Remembered where contents were stored before there were identities, and none was to be seen.
_UNSEEN: Final = "unseen"
_OCTETS: Final = 16
#: What is read of either file.
_MOST: Final = 100
_HAS_CONTENTS: Final = "SELECT 1 FROM content LIMIT 1"
_MEND: Final = 'mount the right one; where that is lost for good, "gatepost store adopt" goes on with what is there'


def recognise(directory: Path) -> None:
    """Return when a directory of contents is ours, or none is known yet.

    Raises:
        ContentAwayError: it is another one, or nothing is mounted there.
        StoreUnavailableError: there is no telling.

    """
    remembered = _read(directory.parent / REMEMBERED)
    if not remembered:
        return
    worn = _read(directory / WORN)
    if worn == remembered or (remembered == _UNSEEN and _names(directory)):
        return
    found = "it bears another mark" if worn else "is its disk mounted?"
    msg = f"{directory} is not the directory that mail was stored in: {found}"
    raise ContentAwayError(msg, mend=_MEND)


def make_ours(directory: Path) -> None:
    """See to it that a directory of contents is there, and ours, before something is written into it.
    The store's lock is free.

    Raises:
        ContentAwayError: it is another one, or nothing is mounted there.
        StoreUnavailableError: it cannot be made.

    """
    remembered = directory.parent / REMEMBERED
    if _read(remembered) in {"", _UNSEEN}:
        with store_lock(directory.parent):
            recognise(directory)
            if _read(remembered) in {"", _UNSEEN}:
                _adopt(directory)
    recognise(directory)


def begin(connection: apsw.Connection, data_dir: Path) -> None:
    """Give contents that an older program has stored an identity; say it when they are away. Called
    under the store's lock.

    Raises:
        StoreUnavailableError: the disk is in the way.
        apsw.Error: trouble with the database.

    """
    directory = data_dir / CONTENT
    if _read(data_dir / REMEMBERED) in {"", _UNSEEN}:
        if _names(directory):
            _adopt(directory)
        elif connection.execute(_HAS_CONTENTS).fetchone():
            _write(data_dir / REMEMBERED, _UNSEEN)
    try:
        recognise(directory)
    except ContentAwayError as away:
        _log.error("store: nothing is stored, and stored mail waits: %s; %s", away, away.mend)


def adopt(data_dir: Path) -> None:
    """Let the directory that is there now be ours from now on. Raises StoreUnavailableError."""
    with store_lock(data_dir):
        _adopt(data_dir / CONTENT)


def _adopt(directory: Path) -> None:
    """Remember what a directory bears, or give it a new identity. The mark is durable first."""
    try:
        make_directory(directory)
    except OSError as error:
        raise disk_trouble(error) from error
    worn = _read(directory / WORN)
    if not worn:
        worn = secrets.token_hex(_OCTETS)
        _write(directory / WORN, worn)
    _write(directory.parent / REMEMBERED, worn)


def _names(directory: Path) -> list[str]:
    try:
        return segments(directory)
    except OSError as error:
        raise disk_trouble(error) from error


def _read(path: Path) -> str:
    """Return what stands in a file; "" where it is not, or is empty after a power cut."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST).decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise disk_trouble(error) from error


def _write(path: Path, text: str) -> None:
    """Write a small file durably; all of it is there, or what was before."""
    unborn = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(unborn, flags, 0o600)
        try:
            os.write(file, f"{text}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)
        unborn.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            unborn.unlink(missing_ok=True)
        raise disk_trouble(error) from error
