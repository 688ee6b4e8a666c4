"""Octets into lines, octets into content.

RFC 5321 §2.3.8 (only CRLF ends a line), §4.1.1.4 (only CRLF.CRLF ends content), §4.5.2
(transparency). Content goes out in chunks as it came, never line by line.
"""

import re
from typing import Final

from gatepost.wire.smtp.replies import Reply

_END: Final = b"\r\n.\r\n"


#: For a literal of three octets sre is eight times as fast as bytes.find (10 KB: 2.5 µs and 20 µs).
_DOT: Final = re.compile(rb"\r\n\.")


def first_dot(octets: bytes) -> int:
    """Return where the first line that begins with a dot has its CRLF before it, -1 for none."""
    found = _DOT.search(octets)
    return found.start() if found else -1


class LineBuffer:
    """Hands out whole lines, keeps the rest."""

    __slots__ = ("_octets", "_position")

    def __init__(self) -> None:
        self._octets = b""
        self._position = 0

    def __len__(self) -> int:
        return len(self._octets) - self._position

    def feed(self, octets: bytes) -> None:
        """Append what the peer sent."""
        if self._position == len(self._octets):
            self._octets = octets
        else:
            self._octets = self._octets[self._position :] + octets
        self._position = 0

    def next_line(self) -> bytes | None:
        """Return the next line without its CRLF, or None when no whole line is there."""
        end = self._octets.find(b"\r\n", self._position)
        if end < 0:
            return None
        line = self._octets[self._position : end]
        self._position = end + 2
        return line

    @property
    def holds_bare_line_ending(self) -> bool:
        """True when what waits has an LF, though no line is whole: the peer ends lines with LF."""
        return self._octets.find(b"\n", self._position) >= 0

    def take(self, most: int | None = None) -> bytes:
        """Return what waits, `most` octets at most, and forget it."""
        if most is not None and most < len(self):
            taken = self._octets[self._position : self._position + most]
            self._position += most
            return taken
        rest = self._octets[self._position :] if self._position else self._octets
        self._octets, self._position = b"", 0
        return rest

    def take_begun(self) -> bytes:
        """Return what waits of a line that has not ended, and forget it; a last CR stays, for with an LF
        behind it the line ends.
        """
        octets = self.take()
        if not octets.endswith(b"\r"):
            return octets
        self.feed(b"\r")
        return octets[:-1]


class ContentReader:
    r"""Finds the end of content and undoes its transparency, however the octets are cut.

    What could be the beginning of CRLF.CRLF is held back until the next octets tell. Content
    begins right behind a CRLF (the one of DATA), so a first line "." ends empty content.
    """

    __slots__ = ("_held", "_virtual", "ended", "rest")

    def __init__(self) -> None:
        self._held = b"\r\n"
        self._virtual = True
        self.ended = False
        #: What came behind the end of content.
        self.rest = b""

    def feed(self, octets: bytes) -> bytes:
        """Take octets, return content that is certain; sets `ended` and `rest` at the end."""
        octets = self._held + octets
        dot = first_dot(octets)
        end = octets.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            self.ended = True
            self.rest = octets[end + 5 :]
            content = octets[: end + 2]
            self._held = b""
        else:
            kept = _possible_end(octets)
            self._held = octets[len(octets) - kept :] if kept else b""
            content = octets[: len(octets) - kept] if kept else octets
        if dot >= 0 and dot != end:
            content = content.replace(b"\r\n.", b"\r\n")
        if self._virtual and content:
            self._virtual = False
            return content[2:]
        return content


class Chunk:
    """One chunk of BDAT under way (RFC 3030 §2): how many octets are left of it, whether it is the
    last, and what is to be said at its end where its command was refused.
    """

    __slots__ = ("is_last", "left", "refusal")

    def __init__(self, left: int, *, is_last: bool, refusal: Reply | None = None) -> None:
        self.left = left
        self.is_last = is_last
        self.refusal = refusal


def _possible_end(octets: bytes) -> int:
    """Return the length of the longest tail of `octets` that may begin CRLF.CRLF, 0 to 4."""
    if octets[-1:] not in {b"\r", b"\n", b"."}:
        return 0
    for length in (4, 3, 2, 1):
        if octets.endswith(_END[:length]):
            return length
    return 0
