"""Final delivery into a maildir: tmp, sync, rename to new, sync the directory.

The reverse-path is put on top as Return-Path (RFC 5321 §4.4), the address as Delivered-To. File
work; called off the event loop.
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gatepost.model.delivery import Outcome
from gatepost.returns.outcome import DISK_FULL, LOCAL_TROUBLE, Spoken, deferred, delivered
from gatepost.wire.message.header import HeaderFault, scan
from gatepost.wire.values import changed

#: What a folder's name may hold besides letters and digits; the rest is written %XX.
_PLAIN: Final = "@+-_=~."
_LONGEST_NAME: Final = 200
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def folder_name(mailbox: str) -> str:
    """Return a name for a mailbox's folder that can neither leave its directory nor hide.

    "alice" stays "alice"; "../x" becomes "%2E.%2Fx".
    """
    name = quote(mailbox, safe=_PLAIN)
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    return name[:_LONGEST_NAME] or "%00"


def deliver(
    directory: str,
    mailbox: str,
    name: str,
    lines: Sequence[bytes],
    content: Sequence[bytes],
) -> Outcome:
    """Put one message into DIRECTORY/MAILBOX; return when it would survive power loss.

    Args:
        directory: holds the maildirs; made where it is missing.
        mailbox: whose.
        name: unique, and the same when the same delivery is made again: then it replaces itself.
        lines: our header fields, each with its line end.
        content: the message, CRLF line ends, stored with LF as maildir readers expect.

    """
    maildir = Path(directory) / folder_name(mailbox)
    try:
        _make(maildir)
        _write(maildir, name, lines, content)
    except OSError as trouble:
        status = DISK_FULL if trouble.errno in _NO_ROOM else LOCAL_TROUBLE
        words = (trouble.strerror or str(trouble)).lower()
        return deferred(status, f"cannot write to the maildir {maildir.name}: {words}")
    outcome = delivered(f"stored in the maildir {maildir.name}", Spoken(host="maildir"))
    return changed(outcome, in_mailbox=True)


def header_lines(reverse_path: str, forward_path: str) -> tuple[bytes, bytes]:
    """Return the Return-Path and Delivered-To fields."""
    return (
        b"Return-Path: <%b>\r\n" % reverse_path.encode("utf-8"),
        b"Delivered-To: %b\r\n" % forward_path.encode("utf-8"),
    )


def _make(maildir: Path) -> None:
    if (maildir / "cur").is_dir():
        return
    for part in ("tmp", "new", "cur"):
        _make_directory(maildir / part)


def _make_directory(path: Path) -> None:
    """Make a directory that only its owner enters, durably, and those above it that are missing
    likewise (`mkdir(parents=True)` would leave these open to others).
    """
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    _sync(path.parent)


def _write(maildir: Path, name: str, lines: Sequence[bytes], content: Sequence[bytes]) -> None:
    temporary = maildir / "tmp" / name
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # Files on Unix end lines with LF, and maildir readers expect it.
            whole = b"".join((*lines, _without_return_path(b"".join(content))))
            file.write(whole.replace(b"\r\n", b"\n"))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(maildir / "new" / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync(maildir / "new")


def _without_return_path(content: bytes) -> bytes:
    """Return a message without the Return-Path that it brought: exactly one is to be there, ours. The
    Delivered-To of other hops stay below ours: whoever forwards tells loops by them.
    """
    header = scan(content)
    if isinstance(header, HeaderFault) or b"return-path" not in header.names:
        return content
    kept = [
        content[header.starts[i] : header.starts[i + 1]]
        for i, name in enumerate(header.names)
        if name != b"return-path"
    ]
    return b"".join((*kept, content[header.end :]))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
