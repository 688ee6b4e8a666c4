"""Open files: each connection is one, and a process that has none left can do nothing more."""

import resource
from typing import Final

#: With fewer a worker could hardly hold its own: it has about 32 open when nobody is there.
FEWEST: Final = 128
#: Kept for the store, deliveries, DNS and logs: a quarter of them, within these bounds.
_LEAST_RESERVE: Final = 96
_MOST_RESERVE: Final = 2048
#: What a worker has open for itself: store, ports, logs, DNS.
_OWN: Final = 48
#: As many as a worker with plenty of them uses on the way out.
_MOST_OUTGOING: Final = 500


def granted() -> int:
    """Return how many open files the system grants this process, and its children."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def raise_limit() -> int:
    """Allow this process, and its children, as many open files as the system grants; return how
    many that is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return granted()


def allowed() -> int:
    """Return how many open files this process may have now: the limit of a living one can be changed."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft if soft != resource.RLIM_INFINITY else 1 << 30


def capacity(open_files: int) -> int:
    """Return how many connections a process takes that may have so many open files."""
    return max(1, open_files - _reserve(open_files))


def outgoing(open_files: int) -> int:
    """Return how many connections such a process makes itself: half of what nobody else may take."""
    return max(1, min(_MOST_OUTGOING, (_reserve(open_files) - _OWN) // 2))


def too_few(open_files: int, *, connections: int, workers: int) -> str:
    """Return what an operator should hear where files are fewer than `[limits] connections` needs;
    "" where they suffice.
    """
    possible = workers * capacity(open_files)
    if connections <= possible:
        return ""
    return (
        f"[limits] connections is {connections}, {open_files} open files per process allow"
        f" {possible}: others are put off (421)"
    )


def _reserve(open_files: int) -> int:
    return max(_LEAST_RESERVE, min(_MOST_RESERVE, open_files // 4))
