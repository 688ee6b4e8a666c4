"""Tag lists: "v=1; a=rsa-sha256; …" (RFC 6376 §3.2)."""

import re
from typing import Final

_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_]*")
#: FWS: white space, a line end only where white space follows.
_SPACE: Final = b" \t\r\n"
#: VALCHAR, FWS between; 8-bit octets occur in notes (n=) of real records.
_VALUE: Final = re.compile(rb"[^;\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*")


class TagError(ValueError):
    """A text is no tag list; says why."""


def parse_tags(text: bytes) -> dict[bytes, bytes]:
    """Return the tags in their order, values without white space at their ends.

    Raises:
        TagError: it is none, or a tag occurs twice.

    """
    specs = text.split(b";")
    if not specs[-1].strip(_SPACE):
        specs.pop()  # the list may end with a semicolon
    tags: dict[bytes, bytes] = {}
    for spec in specs:
        name, equals, value = spec.partition(b"=")
        name = name.strip(_SPACE)
        if not equals or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise TagError("it is no list of tags (name=value; …)")
        if name in tags:
            raise TagError(f"it has {name.decode()}= twice")
        tags[name] = value.strip(_SPACE)
    return tags
