"""A look at a database that changes nothing: which server, which version of our tables, and what of
its state its operator should know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, TypeVar

import psycopg

from gatepost.store.postgresql_connection import (
    Address,
    Connection,
    begin,
    connect,
    discard,
    start_trouble,
)
from gatepost.store.postgresql_reading import PostgresReading
from gatepost.store.postgresql_schema import VERSIONS
from gatepost.store.postgresql_upgrade import read_marks, refuse_newer, refuse_server
from gatepost.store.postgresql_watch import Watch
from gatepost.store.rows import Row

T = TypeVar("T")

#: Seconds for all questions together.
_PATIENCE: Final = 10.0
#: Switched off, each of these loses committed rows with the power.
_UNSAFE: Final = (
    b"SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'"
    b" ORDER BY name"
)
#: Who copies the server's WAL, but for subscribers to single tables. Who may not look closer
#: (pg_read_all_stats) sees that somebody is there, not whether a standby or a back-up.
_STANDBYS: Final = b"""
SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
    count(r.pid), count(r.pid) FILTER (WHERE r.sync_state IN ('sync', 'quorum')), count(r.state)
FROM pg_stat_replication AS r
WHERE coalesce(r.state, 'streaming') = 'streaming' AND NOT EXISTS
    (SELECT 1 FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
"""


#: Seconds after which somebody reads for long; who has prepared a transaction and left counts, too.
_LONG: Final = 600
_LONGEST: Final = b"""
SELECT who, begun FROM (
    SELECT coalesce(nullif(application_name, ''), usename::text, '') || ', process ' || pid AS who,
        extract(epoch FROM clock_timestamp() - xact_start) AS begun
    FROM pg_stat_activity WHERE datname = current_database() AND backend_xmin IS NOT NULL
    UNION ALL SELECT 'prepared transaction ' || gid, extract(epoch FROM clock_timestamp() - prepared)
    FROM pg_prepared_xacts WHERE database = current_database()) AS t
WHERE begun >= $1 ORDER BY begun DESC LIMIT 1
"""


class Way(StrEnum):
    """How safe the way to the server is from others. CLEAR: anybody on it reads along; UNPROVEN:
    under TLS, but who answers may be anybody; PROVEN; OWN: it does not leave this machine.
    """

    CLEAR = "clear"
    UNPROVEN = "unproven"
    PROVEN = "proven"
    OWN = "own"


class Copies(StrEnum):
    """What a commit says about standbys. NONE: there are none, or we are not told; WAITS: it waits
    for one; LATE: it does not wait for those that are there; LOCAL: it would wait, but
    synchronous_commit says "local"; MISSING: it waits for one, and none is there.
    """

    NONE = "none"
    WAITS = "waits"
    LATE = "late"
    LOCAL = "local"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class LongRead:
    """Who has had a transaction open for long, and for how many seconds: what is gone since then stays in
    tables and indexes.
    """

    who: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The server's version ("18.1"), that of our tables (0: none yet), and rows of a question;
    `unsafe` names settings of the server with which a commit does not outlive a loss of power.
    """

    server: str
    version: int
    rows: Sequence[Row]
    unsafe: tuple[str, ...] = ()
    way: Way = Way.OWN
    copies: Copies = Copies.NONE
    long_read: LongRead | None = None


def look(address: Address, question: str, patience: float = _PATIENCE) -> Seen:
    """Return what is there; `question` is asked where our tables are. Each host gets some seconds to
    let us in, and all questions together `patience` seconds.

    Raises:
        NewerDatabaseError: this program is too old for it.
        StoreAwayError: nobody answers, or not yet.
        StoreUnavailableError: it does not let us in, or is too old.

    """
    connection: Connection | None = None
    watch = Watch()
    try:
        connection = connect(address, watch)
        with watch.over(connection, patience):
            return _seen(connection, address, question)
    except psycopg.Error as error:
        raise start_trouble(error, address) from error
    finally:
        watch.close()
        discard(connection)


def ask(
    address: Address, question: Callable[[PostgresReading], T], patience: float = _PATIENCE
) -> T | None:
    """Return what a question finds; None where the tables are of an older version than ours.

    Raises:
        StoreUnavailableError: it cannot be asked.

    """
    connection: Connection | None = None
    watch = Watch()
    try:
        connection = connect(address, watch)
        with watch.over(connection, patience):
            begin(connection, readable_only=True)
            is_ours = read_marks(connection).version >= len(VERSIONS)
            return question(PostgresReading(connection)) if is_ours else None
    except psycopg.Error as error:
        raise start_trouble(error, address) from error
    finally:
        watch.close()
        discard(connection)


def _seen(connection: Connection, address: Address, question: str) -> Seen:
    refuse_server(connection)
    begin(connection, readable_only=True)
    marks = read_marks(connection)
    refuse_newer(marks)
    rows = connection.execute(question.encode()).fetchall() if marks.version else []
    unsafe = tuple(name for (name,) in connection.execute(_UNSAFE))
    number = connection.info.server_version
    names, commits, followers, waited_for, told = connection.execute(_STANDBYS).fetchall()[0]
    copies = copies_of(names, commits, followers, waited_for if told else None)
    server = f"{number // 10_000}.{number % 10_000}"
    read = connection.execute(_LONGEST, (_LONG,)).fetchone()
    long_read = None if read is None else LongRead(read[0], int(read[1]))
    way = _way(connection, address)
    return Seen(server, marks.version, rows, unsafe, way, copies, long_read)


def copies_of(names: str, commits: str, followers: int, waited_for: int | None) -> Copies:
    """Return what a commit says about standbys.

    Args:
        names: synchronous_standby_names.
        commits: synchronous_commit.
        followers: how many copy the server's WAL.
        waited_for: how many of them a commit waits for; None: it is not told.

    """
    if not names:
        return Copies.LATE if followers else Copies.NONE
    if commits == "local":
        return Copies.LOCAL
    if not followers or waited_for == 0:
        return Copies.MISSING
    return Copies.WAITS


def _way(connection: Connection, address: Address) -> Way:
    info, mode = connection.info, str(address.options().get("sslmode") or "")
    return way_to(info.host, info.hostaddr, in_tls=connection.pgconn.ssl_in_use, sslmode=mode)


def way_to(host: str, at: str, *, in_tls: bool, sslmode: str) -> Way:
    """Return how safe the way is to a host, found at an IP address ("": by a local socket)."""
    if host.startswith(("/", "@")) or not at or ip_address(at).is_loopback:
        return Way.OWN
    if not in_tls:
        return Way.CLEAR
    return Way.PROVEN if sslmode == "verify-full" else Way.UNPROVEN
