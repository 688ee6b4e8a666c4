"""A header section found and scanned, octets in, offsets out (RFC 5322 §2.2, §3.6).

Nothing is decoded, unfolded or copied but the section's names: what is relayed stays as it came.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import Final

from gatepost.wire.message.limits import (
    ADDED_FIELDS,
    ADDED_SECTION,
    HEADER_FIELDS,
    HEADER_SECTION,
    LONG_HEADER,
)
from gatepost.wire.values import value

#: One field: name (RFC 5322 §2.2: printable, no colon), body, continuation lines (§2.2.3).
#: Anchored and possessive, so that no input makes it slow.
_FIELD: Final = re.compile(
    rb"^(([!-9;-~]++):[^\r\n\0]*+(?:\r\n[ \t][^\r\n\0]*+)*+\r\n)", re.MULTILINE
)
_SPACED_NAME: Final = re.compile(rb"[!-9;-~]+[ \t]+:")
_NAME: Final = re.compile(rb"[!-9;-~]+:")

#: RFC 5322 §3.6: at most one of each.
AT_MOST_ONE: Final = frozenset(
    {
        b"date", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc",
        b"message-id", b"in-reply-to", b"references", b"subject",
    }
)  # fmt: skip
#: RFC 5322 §3.6: at least one of each.
AT_LEAST_ONE: Final = (b"date", b"from")


class Flaw(Enum):
    """What is wrong with a header section, in the words a sender reads."""

    TOO_LARGE = "header section is too large"
    TOO_MANY_FIELDS = "header section has too many fields"
    NO_FIELD = "header line is no field (name, colon, body)"
    SPACE_BEFORE_COLON = "header field has a space before its colon"
    STRAY_CONTINUATION = "header section begins with a continuation line"
    NUL = "header field holds a NUL"
    BARE_LINE_END = "header field holds a bare CR or LF"
    UNFINISHED = "last header line has no CRLF"
    REPEATED = "header field may occur only once"
    MISSING = "header field is missing"
    NO_ADDRESS = "header field names no address"
    BAD_ADDRESS = "header field is no valid list of addresses"
    AMBIGUOUS = (
        "header field can be read as naming others; write each address in one piece, and no other one,"
        " no quote, angle bracket or backslash in parentheses or brackets"
    )
    LONG_ADDRESSES = "header field of addresses is longer than 16 KiB"
    MUCH_TO_WRITE = "more than 64 KiB of addresses in fields that are not ASCII"
    NOT_ASCII = "header field cannot be written in ASCII"
    LONG_LINE = "a line is longer than 998 octets"
    NOT_UTF8 = "header field has octets that are not UTF-8"


@dataclass(frozen=True, slots=True)
class HeaderFault:
    """What is wrong, in which field (by name, where there is one), on which line (1 is the first,
    0 where no line is meant).
    """

    flaw: Flaw
    field: str = ""
    line: int = 0

    @property
    def words(self) -> str:
        """Return the fault in one line."""
        where = f" (line {self.line})" if self.line else ""
        return f"{self.field}: {self.flaw.value}{where}" if self.field else self.flaw.value + where


@value(frozen=True, slots=True)
class Field:
    """One field: `name` in lower case, the offset of its first octet, that of the first octet
    behind the colon, and that behind its last CRLF. Continuation lines belong to it.
    """

    name: bytes
    start: int
    value: int
    end: int


@value(frozen=True, slots=True)
class Header:
    """A scanned header section.

    `names` are the fields' names in lower case, in their order; field number i begins at
    `starts[i]` and ends before `starts[i + 1]`. The section ends at `starts[-1]`, the body
    begins at `body`.
    """

    names: tuple[bytes, ...]
    starts: tuple[int, ...]
    body: int

    @property
    def end(self) -> int:
        """Return the offset behind the last field's CRLF."""
        return self.starts[-1]

    def field(self, index: int) -> Field:
        """Return field number `index`, the first is 0."""
        name, start = self.names[index], self.starts[index]
        return Field(name, start, start + len(name) + 1, self.starts[index + 1])

    def fields(self) -> Iterator[Field]:
        """Yield all fields in their order."""
        return map(self.field, range(len(self.names)))

    def named(self, name: bytes) -> list[Field]:
        """Return the fields with this name (in lower case), in their order."""
        return [self.field(i) for i, other in enumerate(self.names) if other == name]


_EMPTY: Final = (0,)


def scan(content: bytes, *, completed: bool = False) -> Header | HeaderFault:
    """Find the header section of `content` and its fields. `completed`: what we add is in it, and has room
    beside what a message may bring.

    No field at all (content is empty, or begins with an empty line) is a Header without fields,
    no fault: whoever may complete it does. Content without an empty line is all header section.
    """
    if not content or content.startswith(b"\r\n"):
        return Header((), _EMPTY, min(2, len(content)))
    most = HEADER_SECTION + ADDED_SECTION if completed else HEADER_SECTION
    empty_line = content.find(b"\r\n\r\n", 0, most + 2)
    end = empty_line + 2 if empty_line >= 0 else len(content)
    if end > most:
        return HeaderFault(Flaw.TOO_LARGE)
    found = _FIELD.findall(content[:end].lower())
    wholes, names = zip(*found, strict=True) if found else ((), ())
    starts = tuple(accumulate(map(len, wholes), initial=0))
    if starts[-1] != end:  # findall skips what is no field
        return _diagnose(content, starts, end)
    if len(names) > (HEADER_FIELDS + ADDED_FIELDS if completed else HEADER_FIELDS):
        return HeaderFault(Flaw.TOO_MANY_FIELDS)
    return Header(names, starts, end + 2 if empty_line >= 0 else end)


def is_long(pieces: Iterable[bytes]) -> bool:
    """Tell whether the header section of content in pieces is longer than LONG_HEADER, at the price of
    finding its end: no more of it is looked at, or joined, than it takes.
    """
    beginning: list[bytes] = []
    size = 0
    for piece in pieces:
        beginning.append(piece)
        size += len(piece)
        if size >= LONG_HEADER + 2:
            return b"".join(beginning).find(b"\r\n\r\n", 0, LONG_HEADER + 2) < 0
    return False


def value_of(content: bytes, field: Field) -> bytes:
    """Return a field's body as it stands: folds kept, the last CRLF left out."""
    return content[field.value : field.end - 2]


def unfold(value: bytes) -> bytes:
    """Return a field's body in one line (RFC 5322 §2.2.3), without white space at its ends."""
    return value.replace(b"\r\n", b"").strip(b" \t")


def repeated(header: Header) -> HeaderFault | None:
    """Return a fault for the first field that occurs more often than RFC 5322 §3.6 allows."""
    single = [name for name in header.names if name in AT_MOST_ONE]
    if len(single) == len(set(single)):
        return None
    name = Counter(single).most_common(1)[0][0]
    return HeaderFault(Flaw.REPEATED, spell(name))


def missing(header: Header) -> HeaderFault | None:
    """Return a fault for the first field that RFC 5322 §3.6 demands and that is not there."""
    for name in AT_LEAST_ONE:
        if name not in header.names:
            return HeaderFault(Flaw.MISSING, spell(name))
    return None


def spell(name: bytes) -> str:
    """Return a field name as people write it: Reply-To, Message-ID."""
    words = name.decode("ascii", "replace").split("-")
    return "-".join("ID" if w == "id" else w.capitalize() for w in words)


def _diagnose(content: bytes, starts: tuple[int, ...], end: int) -> HeaderFault:
    """Say why the octets up to `end` are not all fields: look at the first that is none."""
    position = 0
    for _ in starts[1:]:
        found = _FIELD.match(content, position, end)
        if found is None:
            break
        position = found.end()
    line = content.count(b"\n", 0, position) + 1
    rest = content[position:end]
    return HeaderFault(_flaw_of(rest), _name_at(rest), line)


def _flaw_of(rest: bytes) -> Flaw:
    first = rest.split(b"\r\n", 1)[0]
    if first.startswith((b" ", b"\t")):
        return Flaw.STRAY_CONTINUATION
    if _SPACED_NAME.match(rest):
        return Flaw.SPACE_BEFORE_COLON
    if not _NAME.match(rest):
        return Flaw.BARE_LINE_END if b"\n" in first or b"\r" in first else Flaw.NO_FIELD
    faulty = re.search(rb"\0|\r(?!\n)|(?<!\r)\n", rest)
    if faulty is None:
        return Flaw.UNFINISHED
    return Flaw.NUL if faulty[0] == b"\0" else Flaw.BARE_LINE_END


def _name_at(rest: bytes) -> str:
    named = re.match(rb"([!-9;-~]{1,60})[ \t]*:", rest)
    return spell(named[1].lower()) if named else ""
