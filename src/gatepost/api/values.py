"""How many values a body of JSON has (RFC 8259), told before it is parsed, in turns with others."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final

#: The inside of a string; never tried twice from one place.
_INSIDE: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_QUOTE: Final = ord('"')
#: Octets that are looked through before others have their turn.
_STRETCH: Final = 1 << 20


async def has_too_many_values(body: bytes, most: int) -> bool:
    """Tell whether a body has more values, as JSON, than any request needs.

    Every value but the first stands behind a comma or a bracket. UTF-8 without NUL is what it
    should be in; in UTF-16 strings would not be seen here.
    """
    if _marks(body, 0, len(body)) <= most:
        return False
    if b"\0" in body:
        return True
    seen = _Seen()
    for end in range(_STRETCH, len(body) + _STRETCH, _STRETCH):
        seen.look(body, min(end, len(body)), most)
        if seen.marks > most:
            return True
        await asyncio.sleep(0)
    return False


@dataclass(slots=True)
class _Seen:
    """What was seen of a body up to `place`: marks outside of strings, and whether it is inside."""

    place: int = 0
    marks: int = 0
    strings: int = 0
    is_inside: bool = False

    def look(self, body: bytes, end: int, most: int) -> None:
        """Look on up to `end`, or until there are more marks than `most`. A mark stands before two
        strings at most, a name and its value; where there are more strings, it is no JSON.
        """
        while self.place < end and self.marks <= most:
            if self.is_inside:
                found = _INSIDE.match(body, self.place, end)
                self.place = found.end() if found else end
                if self.place == end or body[self.place] != _QUOTE:
                    return  # the other half of a backslash comes next
                self.is_inside = False
                self.place += 1
                continue
            quote = body.find(b'"', self.place, end)
            stop = end if quote < 0 else quote
            self.marks += _marks(body, self.place, stop)
            self.place = stop + 1 if quote >= 0 else end
            self.is_inside = quote >= 0
            self.strings += self.is_inside
            if self.strings > 2 * most + 2:
                self.marks = most + 1


def _marks(text: bytes, start: int, end: int) -> int:
    return (
        text.count(b",", start, end) + text.count(b"[", start, end) + text.count(b"{", start, end)
    )
