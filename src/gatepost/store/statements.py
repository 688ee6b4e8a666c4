"""How tables are asked and changed, whichever database is beneath: SQL that both understand.

The text is SQLite's: `?` or `?1` for a value, `json_each(?)` for a list in JSON. `postgresql_words`
says the same to PostgreSQL; so texts keep to what it can say: a column that a list brings as a
number is CAST AS BIGINT, columns in ON CONFLICT are named with their table.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from gatepost.store.rows import Row

#: Where `upsert` wants its rows: "(?, ?), (?, ?)".
ROWS: Final = "{rows}"


def upsert(table: str, columns: str, key: str) -> str:
    """Return the statement that inserts rows, or changes those that are there. It names what it
    writes, so that columns of a newer program keep what is in them (`store.schema`).
    """
    others = [c.strip() for c in columns.split(",") if c.strip() not in key.split(", ")]
    changes = ", ".join(f"{column} = excluded.{column}" for column in others)
    return (
        f"INSERT INTO {table} ({columns}) VALUES {ROWS}"  # noqa: S608
        f" ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )


def upsert_one(table: str, columns: str, key: str) -> str:
    """Return `upsert` for one row."""
    return upsert(table, columns, key).replace(
        ROWS, f"({', '.join('?' for _ in columns.split(','))})"
    )


class Asks:
    """What is mixed into it has the connection."""

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        """Return rows of an answer; the statement runs at once."""
        raise NotImplementedError

    def _row(self, sql: str, bindings: Iterable[Any] = ()) -> Row | None:
        return next(self._rows(sql, bindings), None)


class Changes(Asks):
    """Also changes."""

    def _run(self, sql: str, bindings: Iterable[Any] = ()) -> None:
        """Run a statement that nobody waits for the answer of."""
        raise NotImplementedError

    def _change(self, sql: str, bindings: Iterable[Any] = ()) -> int:
        """Run a statement; return how many rows it changed."""
        raise NotImplementedError
