"""A worker as its supervisor knows it: what it is told, and the one thing it says."""

import math
import select
import socket
from dataclasses import dataclass, field
from typing import Final

#: Octets that may wait for a worker that does not read: then it is not told.
UNHEARD: Final = 1 << 24
#: What a worker says once it serves.
SERVES: Final = b"s"


@dataclass(slots=True)
class Child:
    """One worker process. `pipe` is our end: closed, it tells the worker that we are gone.
    `region` is its part of what processes share; nobody else has it while it lives. `end_by` is
    when one that was told to stop must have ended.
    """

    index: int
    pid: int
    pipe: socket.socket
    region: int
    #: Counts all workers of this supervisor: a pid may come again, this number never.
    birth: int
    started_at: float
    #: Born in the midst of a reload for one who died: it goes by the former settings.
    is_stopgap: bool = False
    end_by: float = math.inf
    is_ready: bool = False
    #: Its end of the pipe is closed: it ends, or has ended.
    is_gone: bool = False
    #: What it has not taken yet: it may be stopped, and nobody waits for it.
    _unsent: bytearray = field(default_factory=bytearray)

    def tell(self, line: bytes) -> bool:
        """Give it a line, now or when it takes it; False when it takes nothing."""
        if self.is_gone or len(self._unsent) + len(line) > UNHEARD:
            return False
        self._unsent += line
        self._send()
        return not self.is_gone

    def awaited(self) -> int:
        """Return the events of poll(2) that matter; 0 for none."""
        if self.is_gone:
            return 0
        return (0 if self.is_ready else select.POLLIN) | (select.POLLOUT if self._unsent else 0)

    def attend(self, events: int) -> None:
        """Hear and send what those events make possible."""
        if events & ~select.POLLOUT:
            self._hear()
        if self._unsent and not self.is_gone:
            self._send()

    def _hear(self) -> None:
        try:
            word = self.pipe.recv(len(SERVES))
        except BlockingIOError:
            return
        except OSError:
            word = b""
        self.is_ready = self.is_ready or bool(word)
        self.is_gone = not word

    def _send(self) -> None:
        try:
            del self._unsent[: self.pipe.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.is_gone = True
