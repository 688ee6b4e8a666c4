"""SQLite's write-ahead log, where a test changes the database file itself."""

from pathlib import Path

import apsw


def copy_log_in(database: Path) -> None:
    """Copy the log into the database and empty it. Nobody else uses it.

    A node that ended may have left a log (two workers that close at once each leave it to the other), and
    SQLite copies only where it has read before, and outside of the transaction that `with` begins.
    """
    connection = apsw.Connection(str(database))
    try:
        assert connection.execute("PRAGMA journal_mode").get == "wal"
        assert connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
    finally:
        connection.close()
