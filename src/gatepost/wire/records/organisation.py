"""Whose a domain probably is, told from its name alone: to count what one party does as one.

Without a list of public suffixes, which changes each week: a name of two labels, or of three where the
country code stands behind a short one ("co.uk", "com.au", "ac.jp"). Who shares a suffix of another form
with strangers counts together with them.
"""

from typing import Final

_COUNTRY_CODE: Final = 2
_SHORT: Final = 3


def organisation_of(domain: str) -> str:
    """Return the name that a domain and its neighbours below it share; "[" for all address literals."""
    if domain.startswith("["):
        return "["
    labels = domain.rstrip(".").split(".")
    if len(labels) <= 2:
        return ".".join(labels)
    has_short = len(labels[-1]) == _COUNTRY_CODE and len(labels[-2]) <= _SHORT
    return ".".join(labels[-3:] if has_short else labels[-2:])
