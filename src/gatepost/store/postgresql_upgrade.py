"""A database in PostgreSQL brought to the present version: `pre` at once, `post` when no older program
is left (ADR 20).

Which programs use it is told by the announcements of their workers. Commands announce nothing, and
one that has just been let in not yet: so from the moment that no older program is let in any more,
`post` waits longer than either takes.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from gatepost.store.days import day_tables
from gatepost.store.keeper import Content
from gatepost.store.postgresql_reading import DAY_TABLES, PostgresReading
from gatepost.store.postgresql_schema import VERSIONS, lock_number
from gatepost.store.postgresql_transaction import PostgresTransaction
from gatepost.store.postgresql_words import statement
from gatepost.store.protocols import NewerDatabaseError, StoreAwayError, StoreUnavailableError
from gatepost.store.rows import Row, microseconds
from gatepost.store.schema import Marks, numbers
from gatepost.store.upgrade import RAISE_MARK, Upgrade

if TYPE_CHECKING:
    from psycopg import Connection

#: The first with pg_current_xact_id and MultiXact fixes that we rely on is 13; 14 is the oldest
#: that we run our tests over.
_OLDEST_SERVER: Final = 140_000
#: A migration waits so long for another program's, and for each table that somebody uses.
_LOCK_BOUND: Final = b"SET LOCAL lock_timeout = '30s'"

#: Workers that were heard so lately are there, whoever else holds them for lost.
_HEARD: Final = timedelta(minutes=1)
#: How long a command may last, and a worker take until it announces itself.
_UNHEARD: Final = timedelta(minutes=2)
#: The versions that announce workers, and how many versions their programs know.
_ANNOUNCE, _TELL = 2, 7
#: Since when no older program is let in, for a `post`.
_SHUT: Final = "shut for version {}"
_MARKS: Final = "SELECT name, value FROM schema_mark"
_SHUT_SINCE: Final = "SELECT value FROM schema_mark WHERE name = ?"
_SHUT_NOW: Final = (
    "INSERT INTO schema_mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
)
_OLDER: Final = (
    "SELECT DISTINCT coalesce({knows}, {silent}), node FROM presence"
    " WHERE heard_at > {since} AND coalesce({knows}, {silent}) < {number} ORDER BY 1, 2"
)
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


def is_present(connection: "Connection[Any]") -> bool:
    """Tell whether `migrate` has nothing to do. Raises as it does."""
    refuse_server(connection)
    marks = read_marks(connection)
    refuse_newer(marks)
    return marks.version >= len(VERSIONS)


def migrate(connection: "Connection[Any]") -> None:
    """Bring a database to the present version but for `post`, all or nothing, one at a time. A new
    one has nobody to wait for: it gets that, too.

    Raises:
        NewerDatabaseError: this program is too old for it; nothing was touched.
        StoreAwayError: an older program is at work that could not go on.
        StoreUnavailableError: the server is too old, or the database is not UTF8.
        psycopg.Error: trouble.

    """
    if is_present(connection):
        return
    with connection.transaction():
        connection.execute(_LOCK_BOUND)
        connection.execute(b"SELECT pg_advisory_xact_lock($1)", (lock_number("schema"),))
        marks = read_marks(connection)
        refuse_newer(marks)
        if marks.must_be_alone(VERSIONS):
            _refuse_company(connection, marks)
        for number in numbers(marks.version, VERSIONS):
            _bring_to(connection, number, is_new=marks.version == 0)
        after = marks.after_pre(VERSIONS)
        tidied = after.tidied if marks.version else len(VERSIONS)
        for name, value in (
            ("version", after.version),
            ("oldest", after.oldest),
            ("tidied", tidied),
        ):
            connection.execute(
                b"INSERT INTO schema_mark VALUES ($1, $2)"
                b" ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )


def _bring_to(connection: "Connection[Any]", number: int, *, is_new: bool) -> None:
    version = VERSIONS[number - 1]
    connection.execute(version.pre.encode())
    if version.daily:
        found = connection.execute(
            statement(DAY_TABLES).text, ("delivery_", "delivery`")
        ).fetchall()
        for table in day_tables(found):
            connection.execute(version.daily.format(table=table).encode())
    for sql in version.post if is_new else ():
        connection.execute(sql.encode())


def _refuse_company(connection: "Connection[Any]", marks: Marks) -> None:
    """Raise StoreAwayError where an older program is at work: it ends, or its node is given up."""
    if marks.version < _ANNOUNCE:
        return
    since = f"{_NOW} - {_HEARD // timedelta(microseconds=1)}"
    sql = _older(len(VERSIONS), since, tells=marks.version >= _TELL)
    older = connection.execute(sql.encode()).fetchall()
    if older:
        known, node = older[-1]
        msg = (
            f"a gatepost that knows version {known} uses the database (node {node}) and could not"
            f" go on with version {len(VERSIONS)}; stop it first"
        )
        raise StoreAwayError(msg)


def _older(number: int, since: str, *, tells: bool) -> str:
    return _OLDER.format(
        knows="knows" if tells else "NULL::bigint", silent=_TELL - 1, since=since, number=number
    )


def refuse_server(connection: "Connection[Any]") -> None:
    """Raise StoreUnavailableError where the server is older than we know it, or the database could not
    hold what strangers write: replies in any language, addresses (RFC 6531).
    """
    if connection.info.server_version < _OLDEST_SERVER:
        found, oldest = connection.info.server_version // 10_000, _OLDEST_SERVER // 10_000
        msg = f"PostgreSQL {found} is too old, {oldest} is needed"
        raise StoreUnavailableError(msg)
    # Of SQL_ASCII, psycopg gives octets: nobody says what they mean.
    asked = connection.execute(b"SELECT current_setting('server_encoding')").fetchall()[0][0]
    encoding = asked.decode() if isinstance(asked, bytes) else asked
    if encoding != "UTF8":
        msg = f"the database's encoding is {encoding}, and must be UTF8"
        raise StoreUnavailableError(msg)


def read_marks(connection: "Connection[Any]") -> Marks:
    """Return what a database says of its schema. Raises psycopg.Error."""
    there = connection.execute(b"SELECT to_regclass('schema_mark') IS NOT NULL").fetchone()
    if there is None or not there[0]:
        return Marks()
    return _marks(connection.execute(_MARKS.encode()))


def _marks(rows: Iterable[Row]) -> Marks:
    marks = {row[0]: row[1] for row in rows}
    version = marks.get("version", 0)
    # Before "tidied" was noted, nothing was left for later.
    return Marks(version, marks.get("oldest", version), marks.get("tidied", version))


def refuse_newer(marks: Marks) -> None:
    """Raise NewerDatabaseError where this program is too old for a database."""
    if not marks.admit(len(VERSIONS)):
        msg = (
            f"the database has version {marks.version} and wants programs that know"
            f" {marks.oldest}, this one knows {len(VERSIONS)}"
        )
        raise NewerDatabaseError(msg)


def upgrade(
    ask: Callable[[Callable[[PostgresReading], Any]], Awaitable[Any]],
    change: Callable[[Callable[[Any], Any], Content | None], Awaitable[Any]],
) -> Upgrade:
    """Return what is left to do; `ask` and `change` are the store's read and write."""
    return Upgrade(VERSIONS, ask, change, lambda reading: _marks(reading.rows(_MARKS)), _begin)


def _begin(number: int, transaction: PostgresTransaction) -> bool:
    """Let no older program in from now on; tell whether none is left, of those unheard neither."""
    now = transaction.time()
    since = str(microseconds(now - _HEARD))
    if transaction.rows(_older(number, since, tells=True)):
        return False
    mark = _SHUT.format(number)
    transaction.execute(_SHUT_NOW, (mark, microseconds(now)))
    transaction.execute(RAISE_MARK, ("oldest", number))
    ((shut_at,),) = transaction.rows(_SHUT_SINCE, (mark,))
    return bool(microseconds(now) - shut_at >= _UNHEARD // timedelta(microseconds=1))
