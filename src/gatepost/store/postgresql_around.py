"""Looks at every host of the database's URL once a second: was one promoted, while another goes on?

A primary that is frozen, or cut off from whoever promotes its standby, does not tell. So each host is asked on
a connection of its own; what is connected to a server that was overtaken is shut.
"""

import logging
import os
import select
import threading
from collections.abc import Mapping
from typing import Any, Final

import psycopg

from gatepost.store.postgresql_connection import (
    Address,
    Connection,
    discard,
    opened,
    origin_of,
    said,
)
from gatepost.store.postgresql_lineage import STANDBY
from gatepost.store.postgresql_refusal import each_host
from gatepost.store.postgresql_watch import Watch

_log = logging.getLogger(__name__)

#: Seconds between two looks, and after which a host that does not answer is left for this time.
_LOOK: Final = 1.0
_PATIENCE: Final = 3.0
#: Seconds that who closes waits for the thread.
_ENDING: Final = 0.2
#: Looks that pass over a host that did not answer (most often a machine that is down), or that is the
#: primary that is used: nobody keeps a connection to it for that.
_PASSED_OVER: Final = 5


def look_around(address: Address, watch: Watch) -> "Around | None":
    """Begin to look at the hosts; None where there is but one. `watch` ends what waits for a server that
    was overtaken. Raises StoreUnavailableError.
    """
    hosts = list(each_host(address.options()))
    return Around(address, hosts, watch) if len(hosts) > 1 else None


class _Host:
    """One host, whatever it is at present."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.place = {key: options[key] for key in ("host", "hostaddr", "port") if key in options}
        self.options = {**options, "target_session_attrs": "any"}
        self.connection: Connection | None = None
        self.passes = 0


class Around:
    """One thread per process."""

    def __init__(self, address: Address, hosts: list[Mapping[str, Any]], watch: Watch) -> None:
        self._address = address
        self._lineage = address.lineage
        self._lineage.is_looked_after()
        self._hosts = [_Host(options) for options in hosts]
        self._watch = watch
        self._own_watch = Watch(_PATIENCE)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._work, name="store-around", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, soon where a host does not answer it: nobody waits for that."""
        os.write(self._waker, b"x")
        self._thread.join(_ENDING)

    def _work(self) -> None:
        while True:
            try:
                self._look_around()
            except Exception:  # noqa: BLE001 - the top of the thread: it never dies
                _log.exception("store: looking at the database's hosts: a fault of ours")
            if select.select([self._wake], [], [], _LOOK)[0]:
                break
        for host in self._hosts:
            discard(host.connection)
        self._own_watch.close()
        os.close(self._wake)
        os.close(self._waker)

    def _look_around(self) -> None:
        for host in self._hosts:
            self._look_at(host)
        self._watch.end_overtaken()
        self._lineage.looked()

    def _look_at(self, host: _Host) -> None:
        if host.passes:
            host.passes -= 1
            return
        try:
            if host.connection is None:
                host.connection = opened(self._address, host.options)
            with self._own_watch.over(host.connection):
                origin = origin_of(host.connection)
        except psycopg.Error as error:
            _log.debug("store: a host of the database is not seen: %s", said(error))
            self._pass_over(host)
            return
        if origin is None or origin.timeline == STANDBY:
            return
        if self._lineage.found(origin, host.place):
            words = "store: %s was promoted to primary (timeline %d): it is used from now on"
            _log.warning(words, host.connection.place, origin.timeline)
        self._pass_over(host)

    @staticmethod
    def _pass_over(host: _Host) -> None:
        discard(host.connection)
        host.connection = None
        host.passes = _PASSED_OVER
