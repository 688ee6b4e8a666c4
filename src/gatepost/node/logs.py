"""What `serve` writes to standard error: text for people, JSON for machines (structlog)."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Final, Literal

import structlog

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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(Damper())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # It warns of each pipeline that a lost connection ends: the store says so in its own words.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
