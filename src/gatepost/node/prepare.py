"""Before a port opens: the store is made or brought up to date, and every secret can be read."""

import asyncio
import errno
import os
import select
import signal
import time
from pathlib import Path
from typing import Final

from gatepost.delivery.routing import build_routing
from gatepost.identity.foreign_build import MissingLibraryError, check_means
from gatepost.identity.key_of_store import existing_key, key_of_store
from gatepost.identity.master_key import MasterKeyError, read_master_key
from gatepost.model.ids import WorkerId
from gatepost.model.settings import Settings
from gatepost.node.heartbeat import TwinError, take_seat
from gatepost.node.home import home_id, is_shared, node_name
from gatepost.node.parts import read_tokens
from gatepost.node.patience import extend, told_to_end, wait_for
from gatepost.node.privileges import Identity, acting_as, become, worker_identity
from gatepost.operate.ownership import PROGRAM_MEND, unreadable_program
from gatepost.operate.recovery import BehindError, recover
from gatepost.store.opening import open_store, where
from gatepost.store.protocols import (
    NewerDatabaseError,
    StoreAwayError,
    StoreUnavailableError,
)
from gatepost.store.sqlite_place import DATABASE
from gatepost.store.sqlite_writer import is_full

#: How the store's words for a damaged database begin.
_DAMAGE: Final = ("CorruptError", "NotADBError")
#: How the process that opens the store ends where waiting may help (EX_TEMPFAIL of sysexits.h).
_NOT_YET: Final = 75
#: Seconds between two looks whether we are to end, and between two requests for more time.
_LOOK: Final = 0.2
_EXTEND: Final = 20.0


class CannotServeError(Exception):
    """The node cannot start; the words say why, and the mend."""


class NotYetError(CannotServeError):
    """It cannot start yet: what stands in the way may pass by itself."""


class ToldToEndError(Exception):
    """Told to end before the node served."""


def prepare_store(settings: Settings, *, alone: bool = True) -> None:
    """Open the store once, in a process of its own (decision 9: opened after the fork): it is
    made, brought up to date, and what former workers had leased becomes due, if we are `alone`.
    Then, too, a store that is away is waited for.

    Raises:
        CannotServeError: it cannot be opened; the words say why.
        ToldToEndError: by a signal, before it could be opened.

    """

    def try_once() -> str | None:
        try:
            _open_store(settings, alone=alone)
        except NotYetError as problem:
            if not alone:
                raise  # the program before us goes on
            return str(problem)
        return None

    if not wait_for(try_once):
        raise ToldToEndError


def _open_store(settings: Settings, *, alone: bool) -> None:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        status, words = _try_store(settings, alone=alone)
        os.write(write_end, words.encode()[:4000])
        os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        if not _answers(pipe.fileno()):
            os.kill(pid, signal.SIGKILL)  # whatever it does, it does all or nothing
            os.waitpid(pid, 0)
            raise ToldToEndError
        words = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) == _NOT_YET:
        raise NotYetError(words)
    if words or status:
        raise CannotServeError(words or "the store could not be opened")


def _answers(pipe: int) -> bool:
    """Wait for the other end, however long it takes: False when we are told to end before."""
    extend_at = time.monotonic() + _EXTEND
    while not select.select([pipe], [], [], _LOOK)[0]:
        if told_to_end():
            return False
        if time.monotonic() >= extend_at:
            extend("the store is opened and brought up to date")
            extend_at += _EXTEND
    return True


def _try_store(settings: Settings, *, alone: bool) -> tuple[int, str]:
    """Return an exit status, and why the store cannot be used, "" when it can."""
    if identity := worker_identity(settings.data_dir):
        become(identity)
        if closed := unreadable_program():
            return 0, f"{closed}; {PROGRAM_MEND}"
    if words := unreadable_secret(settings, None):
        return 0, words

    name, sole = node_name(settings), not is_shared(settings)

    async def prepare() -> None:
        # A key that is there is read first, one that is not is made last: nothing half-done.
        existing_key(settings.master_key)
        read_tokens(settings.auth.oauth)
        store = await open_store(settings, WorkerId(f"{name}/start/{os.getpid()}/"))
        home = home_id(settings.data_dir)
        await recover(store, settings.data_dir)
        if alone:
            await store.write(lambda transaction: take_seat(transaction, name, home, sole=sole))
        await key_of_store(store, settings.master_key)
        await store.close()

    try:
        asyncio.run(prepare())
    except StoreAwayError as problem:
        return _NOT_YET, f"the store in {where(settings)} is not there yet: {problem}"
    except Exception as problem:  # noqa: BLE001 - the top of a process: said, not raised
        return 0, _store_words(settings, problem)
    return 0, ""


def unreadable_secret(settings: Settings, reader: Identity | None) -> str:
    """Return which file with a secret workers could not read, as this user; "" for none."""
    try:
        with acting_as(reader):
            build_routing(settings)
            read_tokens(settings.auth.oauth)
            check_means(settings.auth.directories)
    except UnicodeDecodeError:
        return "a file with a password or secret is not UTF-8 text; write it anew"
    except MissingLibraryError as problem:
        return str(problem)
    except OSError as problem:
        words = (problem.strerror or str(problem)).lower()
        is_readable = problem.errno == errno.EINVAL  # what stands in it is no good
        mend = "write it anew" if is_readable else "let the user that serves read it"
        return f"{_named(problem, settings)}: {words}; {mend}"
    return ""


def unusable_key(path: Path, former: Path, reader: Identity | None) -> str:
    """Return why workers could not use this master key in the place of the former one, as this user;
    "" where they can.
    """
    try:
        with acting_as(reader):
            key = read_master_key(path)
            # A file that was moved is not there any more: new workers compare with the store's mark.
            former_key = key if path == former else existing_key(former)
    except MasterKeyError as problem:
        return f"master_key {problem}"
    if former_key is not None and former_key.mark != key.mark:
        return f"master_key {path}: this is another key than that of {former}"
    return ""


def _named(problem: OSError, settings: Settings) -> str:
    """Return the setting that names a file, and the file."""
    sections = (settings.auth.oauth, *(route.oauth for route in settings.routes))
    secrets = {str(s.client_secret_file) for s in sections if s is not None}
    setting = "client_secret_file" if str(problem.filename) in secrets else "password_file"
    for directory in settings.auth.directories:
        for key in ("secret_file", "ca_file"):
            if str(getattr(directory, key)) == str(problem.filename):
                setting = f'{key} of directory "{directory.name}"'
    return f"{setting} {problem.filename}"


def _store_words(settings: Settings, problem: Exception) -> str:
    """Return what an operator should hear about a store that cannot be opened."""
    store = where(settings)
    words = str(problem) or type(problem).__name__
    if isinstance(problem, TwinError):
        return f'another node that is called "{words}" is alive; give this one a name: node = "…"'
    if isinstance(problem, BehindError):
        return (
            f"the database {settings.data_dir / DATABASE} is older than what lies beside it: its log"
            ' was lost, or it is a copy. Run "gatepost store repair", so that nothing is lost or sent'
            " twice (or move journal and content away, if a new database was meant)"
        )
    if isinstance(problem, MasterKeyError):
        return f"master_key {words}"
    if isinstance(problem, NewerDatabaseError):
        return f"{store}: a newer Gatepost wrote it ({words}); update this one"
    if words.startswith(_DAMAGE):
        mend = 'run "gatepost store repair", or put a backup in its place'
        return f"the database {settings.data_dir / DATABASE} is damaged ({words}); {mend}"
    if is_full(settings.data_dir):
        return f"the disk that holds {settings.data_dir} is full: make room on it ({words})"
    if not isinstance(problem, StoreUnavailableError):
        words = f"{type(problem).__name__}: {words}"
    return f"the store in {store} cannot be opened: {words}"
