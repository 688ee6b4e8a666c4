"""Ends sessions that hold what others wait for, while their process does not stir: it was stopped, or cut
off, in the midst of a transaction.

A server ends by itself who is idle in a transaction (`postgresql_connection`). To it, a session is not
idle whose process was stopped between two statements that travel together, or that does not take an
answer which it is sent; and no setting of every version ends that. So whoever waits in vain does.
"""

import logging
from collections.abc import Sequence
from typing import Final

from gatepost.store.postgresql_connection import Connection
from gatepost.store.postgresql_reading import PostgresReading
from gatepost.store.postgresql_words import statement
from gatepost.store.rows import Row

_log = logging.getLogger(__name__)

#: Milliseconds for which a session may wait for its process in the midst of a transaction, as many as
#: the server grants to who is idle.
STILL: Final = 5_000
#: Milliseconds for one that nobody waits for, but whose view of all rows keeps the dead ones: a listener
#: that does not take what it is told is in a transaction, too. No statement of ours takes as long.
FORGOTTEN: Final = 60_000
#: Sessions of ours (no other role's, nor another program's) that wait for their process.
_END: Final = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity AS s
WHERE datname = current_database() AND usename = session_user
    AND application_name = current_setting('application_name')
    AND pid <> pg_backend_pid() AND wait_event_type = 'Client'
    AND xact_start IS NOT NULL AND query_start < clock_timestamp() - ? * interval '1 ms'
"""
#: They have what others may wait for: a transaction that has written or locked rows, or a lock by number.
_HOLDS: Final = """
    AND (backend_xid IS NOT NULL OR EXISTS
        (SELECT 1 FROM pg_locks AS l WHERE l.pid = s.pid AND l.locktype = 'advisory'))
"""


def end_still(connection: Connection) -> int:
    """End who stands still and may be waited for; return how many. Raises psycopg.Error."""
    said = statement(_END + _HOLDS)
    return _told(connection.execute(said.text, (STILL,)).fetchall())


def end_forgotten(transaction: PostgresReading) -> int:
    """End who has stood still for long, whatever it holds; return how many. Raises psycopg.Error."""
    return _told(transaction.rows(_END, (FORGOTTEN,)))


def _told(ended: Sequence[Row]) -> int:
    for pid, _ in ended:
        _log.warning("store: session %d stood still in the midst of a transaction: ended", pid)
    return len(ended)
