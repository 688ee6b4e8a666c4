"""A store that is not there yet is waited for: a machine that boots may be up before its database.

Nothing listens meanwhile, so that clients and balancers go elsewhere. A service manager is told why
it takes long, and asked for the time (sd_notify(3)).
"""

import logging
import signal
from collections.abc import Callable
from typing import Final

from gatepost.node.notify import notify

_log = logging.getLogger(__name__)

#: Seconds between two tries: the first pause, and the longest.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
#: What a service manager is asked for, in seconds, each time again; longer than between two times.
_EXTENSION: Final = 60
#: What ends a start.
ENDS: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def extend(status: str) -> None:
    """Ask a service manager for more time to start, and tell it why."""
    notify(f"EXTEND_TIMEOUT_USEC={_EXTENSION * 1_000_000}", f"STATUS={status}")


def told_to_end(seconds: float = 0.0) -> bool:
    """Wait for so long, or until we are told to end; signals are held back meanwhile."""
    return signal.sigtimedwait(ENDS, seconds) is not None


def wait_for(
    try_once: Callable[[], str | None], pause: Callable[[float], bool] = told_to_end
) -> bool:
    """Try until it works, less and less often; say why it does not whenever that is another reason.

    Args:
        try_once: returns None when it worked, else what was missing.
        pause: waits for so many seconds; True when we are to end.

    Returns:
        False when we were told to end.

    """
    seconds, told = _FIRST_PAUSE, ""
    while (missing := try_once()) is not None:
        if missing != told:
            told = missing
            _log.warning("waiting: %s", missing)
        extend(f"waiting: {missing}")
        if pause(seconds):
            return False
        seconds = min(_LONGEST_PAUSE, 2 * seconds)
    if told:
        _log.info("what was waited for is there")
    return True
