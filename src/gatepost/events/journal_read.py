"""What the journal says, read back: for a repair, and to tell whether a database is older than it."""

import json
import os
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from gatepost.model.event import Event, EventKind, LaterKind
from gatepost.store.outbox import StoredEvent

#: How a line begins (`journal`).
_POSITION: Final = re.compile(rb'\{"position":(\d{1,18}),')
#: Octets that are read at once at the end of a file; a line is no longer.
_TAIL: Final = 64 * 1024
_KINDS: Final = {kind.value: kind for kind in EventKind}


def last_position(directory: Path) -> int:
    """Return the position of the last event in the journal; 0 where it holds none.

    Raises:
        OSError: it cannot be read.

    """
    for path in sorted(directory.glob("*.jsonl"), reverse=True):
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().splitlines()
        found = [int(match[1]) for line in lines if (match := _POSITION.match(line))]
        if found:
            return max(found)
    return 0


def events_since(directory: Path, day: date) -> Iterator[StoredEvent]:
    """Return the events of that day's file and of later ones; a line that is damaged is no event.

    Raises:
        OSError: it cannot be read.

    """
    for path in sorted(directory.glob("*.jsonl")):
        if path.stem >= day.isoformat():
            with path.open("rb") as file:
                for line in file:
                    if (stored := _stored(line)) is not None:
                        yield stored


def _stored(line: bytes) -> StoredEvent | None:
    try:
        found: dict[str, Any] = json.loads(line)
        at = datetime.fromisoformat(found["at"])
        facts = dict(found["facts"])
        event = Event(
            _KINDS.get(found["kind"]) or LaterKind(str(found["kind"])),
            at,
            found["message"],
            found["delivery"],
            found["account"],
            facts,
        )
        return StoredEvent(int(found["position"]), event) if at.tzinfo is not None else None
    except (ValueError, KeyError, TypeError):
        return None
