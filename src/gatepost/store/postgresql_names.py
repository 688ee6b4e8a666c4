"""The addresses of the database's hosts, so that nobody waits for a name server while they are known.

The system's resolver blocks for ten seconds and more where a name server swallows what it is asked, once for
each host of the URL, and who connects anew may be who looks after the other hosts: every commit would
wait for that. So names are asked for in threads of their own, and for the time of no answer what they had last is used.
Who answers at an address still has to show the host's certificate.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

import psycopg

from gatepost.store.postgresql_refusal import each_host

#: Seconds that an answer is waited for: where addresses are known, and where none is.
_SOON: Final = 0.5
_PATIENCE: Final = 5.0
#: Seconds after which a question is given up, and asked again: it may be of a process that has forked.
_LOST: Final = 60.0

#: Returns the addresses of a name; raises OSError.
Ask = Callable[[str], Sequence[str]]


def _asked(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


class Names:
    """What the hosts of one URL are called, and where they were found last; used by all threads."""

    def __init__(self, ask: Ask = _asked) -> None:
        self._ask = ask
        self._changed = threading.Condition()
        self._known: dict[str, Sequence[str]] = {}
        self._troubles: dict[str, str] = {}
        #: Since when an answer is waited for; `time.monotonic`.
        self._under_way: dict[str, float] = {}

    def placed(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return libpq's options with addresses for all names that have any.

        Raises:
            psycopg.OperationalError: there is none for any.

        """
        hosts = list(each_host(options))
        names = [str(host["host"]) for host in hosts if _is_name(host)]
        if not names:
            return options
        self._find(names)
        rows: list[tuple[str, str, str]] = []
        for host in hosts:
            name, port = str(host.get("host") or ""), str(host.get("port") or "")
            if _is_name(host):
                rows += [(name, at, port) for at in self._known.get(name, ())]
            else:
                rows.append((name, str(host.get("hostaddr") or _address(name)), port))
        if not rows:
            words = ", ".join(f'"{name}": {self._trouble(name)}' for name in names)
            msg = f"could not translate host name {words}"
            raise psycopg.OperationalError(msg)
        columns = zip(("host", "hostaddr", "port"), zip(*rows, strict=True), strict=True)
        return {**options, **{key: ",".join(values) for key, values in columns}}

    def _trouble(self, name: str) -> str:
        return self._troubles.get(name) or "the resolver does not answer"

    def _find(self, names: Sequence[str]) -> None:
        """Ask for all of them, and wait until there is something to go by."""
        began = time.monotonic()
        with self._changed:
            for name in names:
                if began - self._under_way.get(name, began - _LOST) >= _LOST:
                    self._under_way[name] = began
                    threading.Thread(
                        target=self._look_up, args=(name,), name="store-names", daemon=True
                    ).start()
            while (left := self._patience(names, began)) > 0:
                self._changed.wait(left)

    def _patience(self, names: Sequence[str], began: float) -> float:
        """Return for how many seconds more the answers are waited for: of several hosts, the known ones
        are gone to while the others are looked for.
        """
        awaited = [name for name in names if name in self._under_way]
        is_known = any(name in self._known for name in names)
        patience = _SOON if is_known else _PATIENCE
        return began + patience - time.monotonic() if awaited else 0.0

    def _look_up(self, name: str) -> None:
        found: Sequence[str] = ()
        trouble, is_gone = "", False
        try:
            found = self._ask(name)
        except (OSError, UnicodeError) as error:
            trouble = getattr(error, "strerror", None) or str(error)
            is_gone = isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
        with self._changed:
            self._under_way.pop(name, None)
            self._troubles[name] = trouble
            if is_gone:
                self._known.pop(name, None)
            elif found:
                self._known[name] = found
            self._changed.notify_all()


def _is_name(host: Mapping[str, Any]) -> bool:
    """Tell whether a host is one that a resolver is asked for: no address, nor a socket's directory."""
    name = str(host.get("host") or "")
    return not (not name or host.get("hostaddr") or name.startswith(("/", "@")) or _address(name))


def _address(name: str) -> str:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return ""
    return name
