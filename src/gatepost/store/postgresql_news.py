"""Hears what other processes have committed, and asks for the time, on a connection of its own.

LISTEN wakes it. Behind a pooler that gives each transaction to another server process nobody is
woken, so it also asks once a second: one row by its key.
"""

import logging
import os
import select
import threading
import time
from typing import Final

import psycopg

from gatepost.store.postgresql_clock import StoreClock
from gatepost.store.postgresql_connection import Address, Connection, connect, discard, said
from gatepost.store.postgresql_watch import Watch
from gatepost.store.postgresql_writer import Own

_log = logging.getLogger(__name__)

#: Seconds between two questions, and after a connection was lost.
_ASK: Final = 1.0
#: Which server answers, too: its start is one of no other.
_LOOK: Final = (
    b"SELECT value, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,"
    b" (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint%b"
    b" FROM counter WHERE name = 'news'"
)
#: What the version moves by when another server answers: further than news ever count.
_ANOTHER: Final = 1 << 48


class News:
    """One thread per process. `version` changes when another process has committed news."""

    def __init__(self, address: Address, own: Own, clock: StoreClock, watch: Watch) -> None:
        self._watch = watch
        self._address = address
        self._own = own
        self._clock = clock
        self.version = 0
        #: When it was answered last; `time.monotonic`.
        self.heard_at = time.monotonic()
        self._server: int | None = None
        self._servers = 0
        self._wake, self._waker = os.pipe()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._work, name="store-news", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Return when it hears, or does not after so long."""
        self._first.wait(seconds)

    def close(self) -> None:
        """End the thread; blocks until it has."""
        os.write(self._waker, b"x")
        self._thread.join()
        os.close(self._wake)
        os.close(self._waker)

    def _work(self) -> None:
        words = ""
        while True:
            connection = None
            try:
                connection = connect(self._address, self._watch)
                connection.add_notify_handler(lambda _: None)  # else they are kept for ever
                with self._watch.over(connection):
                    connection.execute(b"LISTEN gatepost")
                words = ""
                self._listen(connection)
            except (psycopg.Error, OSError) as error:
                if said(error) != words:
                    words = said(error)
                    _log.warning("store: %s", words)
            else:
                return
            finally:
                discard(connection)
                self._first.set()
            if self._is_over(_ASK):
                return

    def _listen(self, connection: Connection) -> None:
        """Ask whenever there is news, and once a second; until `close`."""
        while True:
            connection.refuse_overtaken()
            with self._own.lock, self._watch.over(connection):
                asked_at = time.monotonic()
                row = connection.execute(_LOOK % connection.guard).fetchone()
                own = self._own.count
                self.heard_at = time.monotonic()
            if row is not None:
                self._clock.set(row[1], asked_at, time.monotonic())
                self._note_server(row[2])
                self.version = self._servers * _ANOTHER + row[0] - own
            self._first.set()
            ready, _, _ = select.select([connection.fileno(), self._wake], [], [], _ASK)
            if self._wake in ready:
                return

    def _note_server(self, server: int) -> None:
        """Count another server: one that was a standby may lack the last news, so all is read again."""
        if self._server not in {None, server}:
            self._servers += 1
            _log.info("store: another PostgreSQL answers, or the same anew; all is read again")
        self._server = server

    def _is_over(self, seconds: float) -> bool:
        return bool(select.select([self._wake], [], [], seconds)[0])
