"""Positions of events rise, whatever server comes after: a copy that was restored, a standby that was
promoted behind. Their transactions may be numbered below those that readers have seen.
"""

from gatepost.store.postgresql_connection import Connection, begin
from gatepost.store.postgresql_reading import POSITION_BITS, PostgresReading
from gatepost.store.postgresql_schema import lock_number


def raise_positions(connection: Connection) -> int:
    """See to it that new events come behind all that a reader has seen; return what is added to each
    position. Raises psycopg.Error.
    """
    begin(connection)
    connection.execute(b"SELECT pg_advisory_xact_lock($1)", (lock_number("schema"),))
    reading = PostgresReading(connection)
    read = reading.rows("SELECT coalesce(max(value), 0) FROM counter WHERE name LIKE 'reader/%'")
    highest = read[0][0]
    if days := reading.days("event"):
        newest = reading.rows(f"SELECT coalesce(max(position), 0) FROM {days[-1]}")  # noqa: S608
        highest = max(highest, newest[0][0])
    bound = f"(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << {POSITION_BITS})"
    connection.execute(
        f"UPDATE counter SET value = $1 - {bound}"  # noqa: S608
        f" WHERE name = 'event' AND value + {bound} < $1".encode(),
        (highest,),
    )
    ((added,),) = reading.rows("SELECT value FROM counter WHERE name = 'event'")
    connection.execute(b"COMMIT")
    return int(added)
