"""Content-Type and Content-Transfer-Encoding, as far as a relay reads them (RFC 2045 §5, §6)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gatepost.wire.message.header import Header, unfold, value_of

_TOKEN: Final = rb"[!#$%&'*+.^_`{|}~0-9A-Za-z-]+"
#: A comment without another in it, or (kept) what is escaped outside of one: it begins none.
_COMMENT: Final = re.compile(rb"(\\.)|\((?:[^()\\]|\\.)*+\)")
_TYPE: Final = re.compile(rb"[ \t]*(%b)[ \t]*/[ \t]*(%b)[ \t]*(?=;|\Z)" % (_TOKEN, _TOKEN))
_PARAMETER: Final = re.compile(
    rb"[ \t]*;[ \t]*(?:(%b)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*+)\"|([^\s;\"]+)))?" % _TOKEN
)


@dataclass(frozen=True, slots=True)
class MediaType:
    """`name` is "text/plain" in lower case; `boundary` of a multipart, b"" where it has none."""

    name: str
    boundary: bytes = b""


_DEFAULT: Final = MediaType("text/plain")


def media_type_of(content: bytes, header: Header) -> MediaType | None:
    """Return the type of an entity, text/plain where it says none (RFC 2045 §5.2); None where it
    says it twice, or so that two readers could differ.
    """
    fields = header.named(b"content-type")
    if not fields:
        return _DEFAULT
    value = unfold(value_of(content, fields[0]))
    if b'"' not in value:
        value = _COMMENT.sub(rb"\1", value)
    found = _TYPE.match(value)
    if len(fields) > 1 or found is None:
        return None
    boundaries = [v for name, v in _parameters(value, found.end()) if name == b"boundary"]
    if len(boundaries) > 1:
        return None
    boundary = boundaries[0] if boundaries else b""
    return MediaType(f"{found[1].decode('ascii')}/{found[2].decode('ascii')}".lower(), boundary)


def _parameters(value: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield parameters with their names in lower case, up to the first that is none."""
    while found := _PARAMETER.match(value, position):
        position = found.end()
        name, quoted, token = found.groups()
        if name is not None:
            yield name.lower(), re.sub(rb"\\(.)", rb"\1", quoted) if token is None else token


def encoding_of(content: bytes, header: Header) -> bytes | None:
    """Return the Content-Transfer-Encoding in lower case, b"" where there is none; None where
    there are two.
    """
    fields = header.named(b"content-transfer-encoding")
    if len(fields) > 1:
        return None
    return (
        _COMMENT.sub(rb"\1", unfold(value_of(content, fields[0]))).strip().lower()
        if fields
        else b""
    )
