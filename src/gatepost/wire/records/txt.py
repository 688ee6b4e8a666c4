"""TXT records in presentation form: strings of at most 255 octets (RFC 1035 §3.3.14, §5.1)."""

import re
from typing import Final

LONGEST_STRING: Final = 255
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^"\s]+)', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(\d{3}|.)", re.DOTALL)


def parse_txt(text: str) -> str:
    """Return the strings of a record, such as '"v=DKIM1; " "p=…"', joined without anything
    between (RFC 6376 §3.6.2.2, RFC 7208 §3.3). Octets that are not UTF-8 become "\ufffd".
    """
    strings = (quoted or bare for quoted, bare in _STRING.findall(text))
    return b"".join(map(_octets, strings)).decode("utf-8", "replace")


def txt_strings(text: str) -> tuple[str, ...]:
    """Return a record's text cut into strings that fit, as a zone file quotes them."""
    escaped = [c if c not in '"\\' else f"\\{c}" for c in text]
    step = LONGEST_STRING
    return tuple(f'"{"".join(escaped[at : at + step])}"' for at in range(0, len(text) or 1, step))


def _octets(string: str) -> bytes:
    parts = _ESCAPE.split(string)  # plain, escape, plain …
    octets = [
        part.encode() if index % 2 == 0 else _escaped(part) for index, part in enumerate(parts)
    ]
    return b"".join(octets)


def _escaped(code: str) -> bytes:
    return bytes([int(code) & 0xFF]) if len(code) == 3 else code.encode()
