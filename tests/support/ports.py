"""Ports for servers of tests, that nobody else takes between the choice and the start.

They lie below those that the system gives to whoever calls out (from 32768 on Linux), each test worker has a part
of its own, and none is given twice in a run.
"""

import os
import re
import secrets
import socket
from collections.abc import Iterator
from typing import Final

_FIRST: Final = 12_000
_EACH: Final = 2_000


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody has."""
    return [next(_PORTS) for _ in range(count)]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    return next(_PORTS)


def _ours() -> Iterator[int]:
    number = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 9)
    first, begin = _FIRST + number % 10 * _EACH, secrets.randbelow(_EACH)
    while True:
        for step in range(_EACH):
            port = first + (begin + step) % _EACH
            if _is_free(port):
                yield port


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_PORTS: Final = _ours()
