"""A look at a database that changes nothing: which server, which version of our tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from gatepost.store.postgresql_connection import (
    Address,
    Connection,
    begin,
    connect,
    discard,
    said,
    store_trouble,
)
from gatepost.store.postgresql_schema import read_marks, refuse_newer, refuse_old_server
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.rows import Row

#: Switched off, each of these loses committed rows with the power.
_UNSAFE: Final = (
    b"SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'"
    b" ORDER BY name"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The server's version ("18.1"), that of our tables (0: none yet), and rows of a question;
    `unsafe` names settings of the server with which a commit does not outlive a loss of power.
    """

    server: str
    version: int
    rows: Sequence[Row]
    unsafe: tuple[str, ...] = ()


def look(address: Address, question: str) -> Seen:
    """Return what is there; `question` is asked where our tables are.

    Raises:
        NewerDatabaseError: this program is too old for it.
        StoreUnavailableError: it cannot be reached, does not let us in, or is too old.

    """
    connection: Connection | None = None
    try:
        connection = connect(address)
        refuse_old_server(connection)
        begin(connection, readable_only=True)
        marks = read_marks(connection)
        refuse_newer(marks)
        rows = connection.execute(question.encode()).fetchall() if marks.version else []
        unsafe = tuple(name for (name,) in connection.execute(_UNSAFE))
        number = connection.info.server_version
        return Seen(f"{number // 10_000}.{number % 10_000}", marks.version, rows, unsafe)
    except psycopg.Error as error:
        raise (store_trouble(error) or StoreUnavailableError(said(error))) from error
    finally:
        discard(connection)
