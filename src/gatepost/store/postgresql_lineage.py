"""Which servers have had our database, and how far: one that was overtaken is not used any more.

A standby that is promoted begins another timeline, of a higher number. A primary that was frozen, or cut off, or
is started again, knows nothing of that: it would take mail that nobody finds, and send what is sent already.
So the highest timeline that was ever seen is remembered by system identifier (initdb makes one), in the state
directory, too. A system that another has followed (pg_upgrade, a restored dump) is an old one.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

_log = logging.getLogger(__name__)

#: In the state directory.
SEEN: Final = "postgresql.seen"
#: What is read of it: a line for the place, one of 33 characters at most for each system.
_MOST: Final = 4096
#: What the timeline of a server is that is no primary.
STANDBY: Final = 0
#: Who writes waits for a look at the other hosts where the last one is so many seconds old, for so long.
_FRESH: Final = 15.0
_PATIENCE: Final = 8.0
#: A name that no server knows: its error tells who raised it, in any language.
_OLD: Final = "gatepost.old_primary"
#: The names of its files begin with it, in hexadecimal digits.
_GUARD: Final = (
    b", CASE WHEN pg_walfile_name(pg_current_wal_lsn()) COLLATE \"C\" < '%%08X'"
    b" THEN current_setting('%b') END" % _OLD.encode()
)
WHO: Final = (
    b"SELECT (SELECT system_identifier FROM pg_control_system()), CASE WHEN pg_is_in_recovery() THEN 0"
    b" ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END"
)


class OldPrimaryError(psycopg.OperationalError):
    """A server answers that was overtaken by another one."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose state a server has: its system, and on which timeline it writes (`STANDBY`: on none)."""

    system: int
    timeline: int


class Lineage:
    """What is known of servers, by all threads of a process. `memory` is the file that others read; what it
    has of another place than `of` is nothing: an operator named another database.
    """

    def __init__(self, memory: Path | None = None, of: str = "") -> None:
        self._memory = memory
        self._of = of
        self._changed = threading.Condition()
        #: The highest timeline of each system; in the order in which they followed each other.
        self._highest: dict[int, int] = {}
        self._place: Mapping[str, Any] | None = None
        #: When all hosts were last looked at; None where nobody does.
        self._looked_at: float | None = None

    def take(self, origin: Origin, *, follows: bool = True) -> str:
        """Take note of a server that is about to be used; return why it must not be, "" for nothing.
        A system that is not known follows all that are, where it may.
        """
        with self._changed:
            self._recall()
            known = self._highest.get(origin.system)
            if known is None:
                if not follows:
                    return "it has another database's past"
            elif next(reversed(self._highest)) != origin.system:
                return "another system took its place"
            elif origin.timeline < known:
                return f"it is on timeline {origin.timeline}, and {known} has begun"
            if known != origin.timeline:
                self._highest[origin.system] = origin.timeline
                self._remember()
        return ""

    def overtakes(self, origin: Origin) -> bool:
        """Tell whether what is known is ahead of a server that was good once."""
        return self._highest.get(origin.system, 0) > origin.timeline

    def guard(self, origin: Origin | None) -> bytes:
        """Return a column to select with each transaction: an error where the server is not the one that we
        think, behind a pooler.
        """
        if origin is None:
            return b""
        return _GUARD % self._highest.get(origin.system, 0)

    # -- where the newest one is
    @property
    def place(self) -> Mapping[str, Any] | None:
        """Libpq's options for the host that was last found ahead of the others; None if none was."""
        return self._place

    def found(self, origin: Origin, place: Mapping[str, Any]) -> bool:
        """Hear of a primary; tell whether it is ahead of all that were known."""
        known = self._highest.get(origin.system, 0)
        if known == 0 or self.take(origin, follows=False):
            return False
        self._place = place
        return origin.timeline > known

    def is_looked_after(self) -> None:
        """Hear that somebody looks at all hosts from now on."""
        self._looked_at = -math.inf

    def looked(self) -> None:
        """Hear that all hosts were looked at just now."""
        with self._changed:
            self._looked_at = time.monotonic()
            self._changed.notify_all()

    def await_look(self) -> None:
        """Return when the hosts were looked at lately. Who was frozen, perhaps with his database,
        does not know what became of it meanwhile.
        """
        with self._changed:
            if self._looked_at is not None and time.monotonic() - self._looked_at > _FRESH:
                self._changed.wait(_PATIENCE)

    # -- what outlives us
    def _recall(self) -> None:
        if self._memory is None:
            return
        lines: list[str] = []
        with suppress(OSError):
            lines = self._memory.read_text("utf-8", "replace")[:_MOST].splitlines()
        for line in lines[1:] if lines[:1] == [self._of] else ():
            words = line.split()
            if len(words) == 2 and all(word.isdecimal() for word in words):
                system, timeline = map(int, words)
                self._highest[system] = max(timeline, self._highest.get(system, 0))

    def _remember(self) -> None:
        if self._memory is None:
            return
        unborn = self._memory.with_name(f"{self._memory.name}.{os.getpid()}.new")
        seen = "".join(f"{system} {timeline}\n" for system, timeline in self._highest.items())
        try:
            unborn.write_text(f"{self._of}\n{seen}", "utf-8")
            unborn.replace(self._memory)
        except OSError as error:
            _log.warning("store: %s is not written: %s", self._memory, error)


def forget(data_dir: Path) -> None:
    """Take whatever server answers next for the right one. Raises OSError."""
    (data_dir / SEEN).unlink(missing_ok=True)


def is_of_an_old_primary(error: psycopg.Error) -> bool:
    """Tell whether a transaction failed because an overtaken server answered: it changed nothing."""
    return isinstance(error, OldPrimaryError) or (
        isinstance(error, psycopg.errors.UndefinedObject) and _OLD in str(error)
    )
