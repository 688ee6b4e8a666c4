"""Open files: each connection is one, and a process that has none left can do nothing more."""

import resource
from typing import Final

#: Kept for the store, deliveries, DNS and logs: a quarter of them, within these bounds.
_LEAST_RESERVE: Final = 64
_MOST_RESERVE: Final = 2048


def raise_limit() -> int:
    """Allow this process, and its children, as many open files as the system grants; return how
    many that is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def capacity(open_files: int) -> int:
    """Return how many connections a process takes that may have so many open files."""
    reserve = max(_LEAST_RESERVE, min(_MOST_RESERVE, open_files // 4))
    return max(1, open_files - reserve)
