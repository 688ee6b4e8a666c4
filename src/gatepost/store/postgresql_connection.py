"""Connections to PostgreSQL by psycopg, and its errors in the store's words.

Nothing here outlives a transaction on the server's side (no prepared statement, no session setting,
no session lock), so that a pooler may give each transaction to another server process.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from gatepost.model.secret import Secret
from gatepost.store.postgresql_lineage import (
    WHO,
    Lineage,
    OldPrimaryError,
    Origin,
    is_of_an_old_primary,
)
from gatepost.store.postgresql_names import Names
from gatepost.store.postgresql_refusal import codes_of, each_host
from gatepost.store.postgresql_trouble import trouble
from gatepost.store.protocols import DiskFullError, StoreAwayError, StoreUnavailableError

if TYPE_CHECKING:
    from gatepost.store.postgresql_watch import Watch

_log = logging.getLogger(__name__)

_OVERTAKEN: Final = "{} is an old primary: {}"


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows whose state the server behind it has."""

    lineage: Lineage
    origin: Origin | None = None
    _pipe: psycopg.Pipeline | None = None

    @contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """Let statements travel together; whoever needs an answer asks for it by `answered`."""
        with super().pipeline() as pipe:
            self._pipe = pipe
            try:
                yield pipe
            finally:
                self._pipe = None

    def answered(self, cursor: "Cursor") -> "Cursor":
        """Wait for the answer to what was executed in a pipeline, and return it.

        The server is told that we wait (Sync, where psycopg would send Flush): only so it counts how
        long we are idle in a transaction, and ends us if we were stopped or cut off in its midst.

        Raises psycopg.Error.
        """
        if self._pipe is not None and cursor.pgresult is None:
            self._pipe.sync()
        return cursor

    def rows(self, cursor: "Cursor") -> Iterator[tuple[Any, ...]]:
        """Yield the rows of an answer, which is waited for when the first one is wanted."""
        yield from self.answered(cursor)

    @property
    def place(self) -> str:
        """Return host and port."""
        return f"{self.info.host}:{self.info.port}"

    @property
    def guard(self) -> bytes:
        """Return a column to select: an error where an old primary answers."""
        return self.lineage.guard(self.origin)

    def refuse_overtaken(self) -> None:
        """Raise OldPrimaryError where another server is ahead of this one by now."""
        if self.origin is not None and self.lineage.overtakes(self.origin):
            raise OldPrimaryError(_OVERTAKEN.format(self.place, "another took its place"))


Cursor = psycopg.Cursor[tuple[Any, ...]]

#: Seconds for one host to let us in; milliseconds until octets must be acknowledged; seconds of
#: silence, between probes, and how many of them: who hears "451" is to hear it soon.
_PATIENCE: Final = {
    "connect_timeout": "3",
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "application_name": "gatepost",
    # Of several hosts, the one that is no standby.
    "target_session_attrs": "read-write",
}
#: Characters of what went wrong that are told.
_WORDS: Final = 500
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

#: Seconds for which a statement waits for another transaction: who tries twice, and waits both times,
#: has time left before its callers hear that nothing was written (`postgresql`: 10 s).
LOCK_PATIENCE: Final = 3
#: A statement waits so long for another transaction, takes so long; and so long may a worker that
#: was stopped in the midst of a transaction keep others waiting: less than two waits for a lock, so that
#: the second one is not in vain. Of this transaction alone.
_BOUNDS: Final = (
    b"SELECT set_config('lock_timeout', '%ds', true), set_config('statement_timeout', '15s', true),"
    b" set_config('idle_in_transaction_session_timeout', '5s', true)" % LOCK_PATIENCE
)
#: 250 means durable, also on a server whose default is to answer before it has written. What is under
#: way lies in memory: a few rows are looked for by their keys, however small a table seems.
_WRITING: Final = (
    b", set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'),"
    b" true), set_config('random_page_cost', '1.1', true)"
)
#: Transactions that fail by these may succeed when they are tried again.
TRY_AGAIN: Final = (
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.SerializationFailure,
    errors.UndefinedTable,  # a day was dropped meanwhile
    errors.UniqueViolation,  # somebody was faster
)
#: Trouble of the database as a whole. Everything else is the fault of a statement, so of a job.
_TROUBLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,  # damaged files there; a transaction that the server has ended
    errors.InsufficientPrivilege,
    errors.UndefinedTable,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is; `password` is used where the URL has none."""

    url: str = field(repr=False)
    password: Secret | None = field(default=None, repr=False)
    #: What is known of the servers there.
    lineage: Lineage = field(default_factory=Lineage, repr=False, compare=False)
    names: Names = field(default_factory=Names, repr=False, compare=False)

    def options(self) -> dict[str, Any]:
        """Return what libpq is told. Raises StoreUnavailableError for a URL that it cannot read."""
        try:
            found: dict[str, Any] = dict(conninfo_to_dict(self.url))
        except psycopg.ProgrammingError:
            # Its words repeat a part of the URL, and that may be the password.
            msg = "the URL of the store cannot be read; in a password, write % as %25, @ as %40"
            raise StoreUnavailableError(msg) from None
        hosts = [
            host for key in ("host", "hostaddr") for host in str(found.get(key) or "").split(",")
        ]
        is_here = all(host.startswith("/") or host in {"", *_LOOPBACK} for host in hosts)
        if not is_here and "sslmode" not in found:
            found["sslmode"] = "verify-full"
            found.setdefault("sslrootcert", "system")
        if self.password is not None and "password" not in found:
            found["password"] = self.password.reveal()
        return _PATIENCE | found

    def where(self) -> str:
        """Return host and database as they may be shown to anybody."""
        found = self.options()
        return f"{found.get('host') or 'local socket'}/{found.get('dbname') or ''}"


def connect(address: Address, watch: "Watch") -> Connection:
    """Open a connection that begins and ends its transactions by words of ours. Of several hosts it is
    one that no other has overtaken.

    Raises:
        psycopg.Error: nobody answers, or not to us, or an old primary.

    """
    options = address.options()
    place = address.lineage.place
    if place is not None:
        with suppress(psycopg.Error):
            return _recognised(address, {**options, **place}, watch)
    try:
        return _recognised(address, options, watch)
    except OldPrimaryError:
        hosts = list(each_host(options))
        for one in hosts if len(hosts) > 1 else ():
            with suppress(psycopg.Error):
                return _recognised(address, one, watch)
        raise


def _recognised(address: Address, options: Mapping[str, Any], watch: "Watch") -> Connection:
    connection = opened(address, options)
    try:
        with watch.over(connection):
            connection.origin = origin_of(connection)
    except psycopg.Error:
        discard(connection)
        raise
    if connection.origin is not None and (why := address.lineage.take(connection.origin)):
        words = _OVERTAKEN.format(connection.place, why)
        discard(connection)
        raise OldPrimaryError(words)
    return connection


def opened(address: Address, options: Mapping[str, Any]) -> Connection:
    """Open a connection to whoever answers. Raises psycopg.Error."""
    placed = address.names.placed(options)
    connection = Connection.connect(
        autocommit=True, prepare_threshold=None, cursor_factory=psycopg.RawCursor, **placed
    )
    connection.lineage = address.lineage
    return connection


def origin_of(connection: Connection) -> Origin | None:
    """Return whose state a server has; None where it does not tell. Raises psycopg.OperationalError."""
    try:
        row = connection.execute(WHO).fetchone()
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:  # a service that is like PostgreSQL
        _log.debug("store: whose state is that? %s", said(error))
        return None
    return None if row is None else Origin(*row)


def begin(connection: Connection, *, readable_only: bool = False) -> None:
    """Begin a transaction with our bounds; a reader sees one state of all tables."""
    connection.refuse_overtaken()
    kind = b"REPEATABLE READ READ ONLY" if readable_only else b"READ COMMITTED READ WRITE"
    connection.execute(b"BEGIN ISOLATION LEVEL " + kind)
    bounds = _BOUNDS if readable_only else _BOUNDS + _WRITING
    connection.execute(bounds + connection.guard)


def store_trouble(error: psycopg.Error) -> StoreUnavailableError | None:
    """Return the store's word for an error; None where a statement is at fault."""
    words = said(error)
    if is_of_an_old_primary(error):
        return StoreAwayError(words)
    if isinstance(error, errors.DiskFull):
        return DiskFullError(words)
    if isinstance(error, _TROUBLE):
        return StoreUnavailableError(words)
    return None


def start_trouble(error: psycopg.Error, address: Address) -> StoreUnavailableError:
    """Return the store's word for what goes wrong before it is used, and how it is mended. Blocks: who
    does not let us in is asked for a reason that is in no language.
    """
    found = store_trouble(error) or StoreUnavailableError(said(error))
    if isinstance(found, DiskFullError):
        return found
    kind = trouble(str(found), codes_of(error, address.options()))
    made = StoreAwayError if kind.passes else StoreUnavailableError
    return made(str(found), mend=kind.mend)


def said(error: Exception) -> str:
    """Return what a server said in one line, or libpq of all hosts: it names host, user and
    database, never a password.
    """
    words = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    words = words or " ".join(str(error).split()) or type(error).__name__
    return f"PostgreSQL: {words[:_WORDS]}"


def discard(connection: Connection | None) -> None:
    """Close a connection whatever state it is in. Never raises."""
    if connection is not None:
        connection.pgconn.finish()
