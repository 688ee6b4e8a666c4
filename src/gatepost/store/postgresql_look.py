"""A look at a database that changes nothing: which server, which version of our tables."""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Seen:
    """The server's version ("18.1"), that of our tables (0: none yet), and rows of a question."""

    server: str
    version: int
    rows: Sequence[Row]


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
        number = connection.info.server_version
        return Seen(f"{number // 10_000}.{number % 10_000}", marks.version, rows)
    except psycopg.Error as error:
        raise (store_trouble(error) or StoreUnavailableError(said(error))) from error
    finally:
        discard(connection)
