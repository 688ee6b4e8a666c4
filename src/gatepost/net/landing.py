"""Where octets from the network land before they are copied to whom they are for.

One place for all connections of a thread's event loop: the loop fills it and has it emptied before
it turns to the next connection. How large a part of it a connection offers is how much it can be
made to keep at once; left to themselves, loops take 256 KB.
"""

import threading
from typing import Final

#: Octets that one read of the system's takes: of content, and elsewhere, where a flight of commands
#: with a message of ten kilobytes behind them still comes as one.
LARGE: Final = 256 * 1024
SMALL: Final = 16 * 1024


class Landing:
    """The place, and the part of it that is for those who shall not send much."""

    __slots__ = ("large", "small")

    def __init__(self) -> None:
        self.large = memoryview(bytearray(LARGE))
        self.small = self.large[:SMALL]


_places: Final = threading.local()


def landing_of_this_thread() -> Landing:
    """Return the one place of this thread."""
    found: Landing | None = getattr(_places, "landing", None)
    if found is None:
        found = _places.landing = Landing()
    return found
