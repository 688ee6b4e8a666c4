"""What a newer program's `pre` may do to a database that we still use: something to every table."""

from pathlib import Path

import apsw

#: What is in the new columns.
NEWER = "of a newer program"


def make_newer(directory: Path) -> None:
    """Bring a database to a version after the present one that does not break ours."""
    connection = apsw.Connection(str(directory / "gatepost.db"))
    if "newer" in tables(connection):
        return
    with connection:
        for name in tables(connection):
            connection.execute(f"ALTER TABLE {name} ADD COLUMN newer TEXT DEFAULT '{NEWER}'")
        connection.execute("CREATE TABLE newer (name TEXT PRIMARY KEY) STRICT")
        version = connection.pragma("user_version")
        connection.pragma("user_version", version + 1)
    connection.close()


def tables(connection: apsw.Connection) -> list[str]:
    """Return the names of all tables but SQLite's own."""
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    return [name for (name,) in connection.execute(sql)]
