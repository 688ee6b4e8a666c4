"""Ends what a server does not answer: a frozen machine's kernel still acknowledges every octet.

libpq waits for an answer without end, and no other host is tried meanwhile. So a thread looks once a
second at what is under way, and shuts the socket of what has taken too long.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg

from gatepost.store.postgresql_connection import Connection

_log = logging.getLogger(__name__)

#: Seconds; the server itself ends a statement after 15 (`postgresql_connection`), and who waits for an
#: answer gives up after 10.
PATIENCE: Final = 20.0
_LOOK: Final = 1.0


class Watch:
    """One thread per process."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._under_way: dict[object, tuple[Connection, float]] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="store-watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, connection: Connection, patience: float | None = None) -> Iterator[None]:
        """See to it that what is done meanwhile ends some time, with a psycopg.OperationalError.
        `patience` is for what may take longer than all else.
        """
        key = object()
        seconds = self._patience if patience is None else patience
        with self._lock:
            self._under_way[key] = (connection, time.monotonic() + seconds)
        try:
            yield
        except psycopg.Error as error:
            if self._ended(key):
                msg = f"no answer within {seconds:g} s, or another server took its place"
                raise psycopg.OperationalError(msg) from error
            raise
        finally:
            self._ended(key)

    def _ended(self, key: object) -> bool:
        """Watch over something no longer; tell whether its time had been up."""
        with self._lock:
            return self._under_way.pop(key, None) is None

    def hurry(self, patience: float) -> None:
        """Let nothing take longer than so many seconds from now on: who waits has given up, or
        wants to end.
        """
        soon = time.monotonic() + patience
        with self._lock:
            self._patience = min(self._patience, patience)
            for key, (connection, end) in self._under_way.items():
                self._under_way[key] = (connection, min(end, soon))

    def end_overtaken(self) -> None:
        """Let nobody wait for a server that another has overtaken."""
        with self._lock:
            for key, (connection, _) in list(self._under_way.items()):
                if connection.origin and connection.lineage.overtakes(connection.origin):
                    del self._under_way[key]
                    _shut(connection)

    def close(self) -> None:
        """End the thread; blocks until it has."""
        self._ending.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ending.wait(_LOOK):
            now = time.monotonic()
            with self._lock:
                for key, (connection, end) in list(self._under_way.items()):
                    if now >= end:
                        del self._under_way[key]
                        _shut(connection)


def _shut(connection: Connection) -> None:
    """Shut a connection's socket; who waits for it hears that it is closed."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as sock,
    ):
        _log.warning("store: PostgreSQL does not answer; trying anew")
        sock.shutdown(socket.SHUT_RDWR)
