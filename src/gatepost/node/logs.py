"""What `serve` writes to standard error: text for people, JSON for machines (structlog)."""

import errno
import logging
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Final, Literal

import structlog

_log = logging.getLogger(__name__)

_STANDARD_ERROR: Final = 2
#: Milliseconds that a reader of our lines gets to make room.
_READER: Final = 200
#: Warnings of one kind that are written in one stretch (seconds): what is away for hours, and tried
#: many times a second, must not fill the disk with words about it.
_AT_ONCE: Final = 5
_STRETCH: Final = 30.0
_MOST_KINDS: Final = 1000


class Damper(logging.Filter):
    """Lets a few warnings of one kind (of one room, with the same wording) through in a stretch;
    the first of the next one tells how many there were besides.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        #: By room and wording: when its stretch began, and how many there were.
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is to be written; may add to it."""
        if record.levelno != logging.WARNING:
            return True
        wording = str(record.msg)
        if not any(map(str.isalpha, wording.replace("%s", ""))):
            wording = record.getMessage()
        key, now = (record.name, wording), self._clock()
        began, count = self._kinds.get(key, (now, 0))
        if now - began >= _STRETCH:
            if count > _AT_ONCE:
                more = f"{record.getMessage()} (and {count - _AT_ONCE} times more before)"
                record.msg, record.args = more, ()
            began, count = now, 0
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.clear()
        self._kinds[key] = (began, count + 1)
        return count < _AT_ONCE


class Unblocked:
    """Standard error as a stream of whole lines, at which nobody waits.

    A pipe whose reader stands still takes no more some time, and whoever writes to it stands still,
    too: all processes of the node, with all their mail.
    """

    def __init__(self, file: int = _STANDARD_ERROR) -> None:
        self._file = file
        self._poll = select.poll()
        self._poll.register(file, select.POLLOUT)
        self._is_behind = False
        self._is_torn = False

    def write(self, line: str) -> None:
        """Write a line with its end. Raises OSError: not all of it could be written."""
        octets = line.encode(errors="backslashreplace")
        rest = memoryview(b"\n" + octets if self._is_torn else octets)
        begun = False
        try:
            while rest:
                # A pipe that takes anything takes so much.
                rest = rest[self._write(rest[: select.PIPE_BUF]) :]
                begun = True
        except OSError:
            self._is_behind = True
            self._is_torn = self._is_torn or begun
            raise
        self._is_behind = self._is_torn = False

    def _write(self, octets: memoryview) -> int:
        if not self._poll.poll(0 if self._is_behind else _READER):
            raise BlockingIOError(errno.EAGAIN, "nobody reads the log")
        return os.write(self._file, octets)


class LineHandler(logging.StreamHandler[Unblocked]):
    """Writes what can be written, and says how much could not."""

    def __init__(self, stream: Unblocked) -> None:
        super().__init__(stream)
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; behind the first that can be written again, say how many were lost."""
        before = self._dropped
        super().emit(record)
        if before and self._dropped == before:
            self._dropped = 0
            _log.error("%d lines of this log were lost: they could not be written", before)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Count a line that could not be written; a faulty one is a fault of ours."""
        if isinstance(sys.exception(), OSError):
            self._dropped += 1
        else:
            super().handleError(record)


def set_up_logs(form: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Send every log line of this process to standard error in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if form == "text":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            # structlog's own choice shows local variables, and a password may be one.
            exception_formatter=structlog.dev.plain_traceback,
        )
    else:
        shared.append(structlog.processors.format_exc_info)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = LineHandler(Unblocked())
    handler.setFormatter(formatter)
    handler.addFilter(Damper())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # It warns of each pipeline that a lost connection ends: the store says so in its own words.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
