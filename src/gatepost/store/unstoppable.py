"""Ctrl-Z on a command: it stops, and not while it holds what the node beside it waits for."""

import os
import signal
import threading
from types import FrameType
from typing import Final

#: Held by the thread that holds, or waits for, the store's lock.
LOCKED: Final = threading.Lock()


def stop_between_batches() -> None:
    """Have SIGTSTP stop this process between two batches of the store. In the main thread only."""
    signal.signal(signal.SIGTSTP, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    with LOCKED:
        os.kill(os.getpid(), signal.SIGSTOP)
