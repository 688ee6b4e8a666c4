"""A name put into an LDAP search filter (RFC 4515 §3) or a distinguished name (RFC 4514 §2.4).

Both let any octet be written as a backslash and two hexadecimal digits. So everything is written
like that but what means itself in either: no list of dangerous characters can be too short.
"""

import re
from collections.abc import Mapping
from typing import Final

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._-")
_PLACE: Final = re.compile(r"\{(\w+)\}")


def escaped(text: str) -> str:
    """Return `text` so that neither a filter nor a distinguished name sees more in it than a value."""
    octets = text.encode("utf-8", "surrogatepass")
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:02x}" for octet in octets)


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with each {place} replaced by its value, escaped. What a value brings in
    is not looked at again.
    """
    return _PLACE.sub(lambda found: escaped(values[found[1]]), template)
