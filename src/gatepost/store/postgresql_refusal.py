"""By which code a server does not let us in. Its words are in its own language (`lc_messages`), and of a
connection that failed libpq hands on nothing else; but it says codes in place of words when it is
told to, before the server has answered.

What libpq says itself is English here: no program of ours sets a locale.
"""

import ctypes
import re
import select
import time
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

#: Seconds for each host: as long as one gets to let us in (`postgresql_connection`).
_PATIENCE: Final = 3.0
#: PQERRORS_SQLSTATE: severity and code, no words.
_CODES_ONLY: Final = 3
_CODE: Final = re.compile(rb":  ([0-9A-Z]{5})$", re.MULTILINE)
#: Between a severity, in whatever language, and what a server says.
_ANSWER: Final = ":  "
_MAPS: Final = Path("/proc/self/maps")
_LIBRARY: Final = re.compile(r" (/\S*/libpq[^/\s]*)$", re.MULTILINE)


def codes_of(error: psycopg.Error, options: Mapping[str, Any]) -> frozenset[str]:
    """Return the codes (SQLSTATE) that stand behind an error: that of a statement, or those with which
    the hosts refuse us, asked for anew; none where no server has said anything.

    Blocks for some seconds per host at most. `options` are libpq's.
    """
    if error.sqlstate is not None:
        return frozenset((error.sqlstate,))
    library = _libpq()
    if library is None or _ANSWER not in str(error):
        return frozenset()
    return frozenset(code for host in each_host(options) for code in _refusals(library, host))


@cache
def _libpq() -> ctypes.CDLL | None:
    """Return the libpq that psycopg uses: it is loaded, under whatever name."""
    try:
        found = _LIBRARY.search(_MAPS.read_text())
        return None if found is None else ctypes.CDLL(found[1])
    except OSError:  # no Linux
        return None


def each_host(options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the options for each host by itself."""
    named = {
        key: str(options[key]).split(",")
        for key in ("host", "hostaddr", "port")
        if options.get(key)
    }
    for places in zip_longest(*named.values()):
        # One port is that of all hosts.
        one = {
            key: place if place is not None else all_of[-1]
            for (key, all_of), place in zip(named.items(), places, strict=True)
        }
        yield {**options, **one}
    if not named:
        yield options


def _refusals(library: ctypes.CDLL, options: Mapping[str, Any]) -> list[str]:
    connection = pq.PGconn.connect_start(make_conninfo(**options).encode())
    try:
        pointer = getattr(connection, "pgconn_ptr", None)  # all of psycopg's kinds have it
        library.PQsetErrorVerbosity(ctypes.c_void_p(pointer), _CODES_ONLY)
        _finish(connection)
        return [code.decode() for code in _CODE.findall(connection.error_message)]
    finally:
        connection.finish()


def _finish(connection: pq.abc.PGconn) -> None:
    """Wait until we are let in, or not, or nobody answers."""
    end = time.monotonic() + _PATIENCE
    while connection.status != pq.ConnStatus.BAD:
        status = connection.connect_poll()
        left = end - time.monotonic()
        if status not in {pq.PollingStatus.READING, pq.PollingStatus.WRITING} or left <= 0:
            return
        place = [connection.socket]
        reads = status == pq.PollingStatus.READING
        select.select(place if reads else [], [] if reads else place, [], left)
