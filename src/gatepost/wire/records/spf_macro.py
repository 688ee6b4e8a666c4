"""SPF macros: their grammar, and what they stand for (RFC 7208 §7)."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from gatepost.wire.records.spf_error import SpfSyntaxError

LONGEST_NAME: Final = 253
#: Characters of an explanation that are looked at: far more than real ones have.
_LONGEST_TEXT: Final = 4096
#: An explanation goes into a reply: more is cut (RFC 7208 §6.2).
LONGEST_EXPLANATION: Final = 450
_MOST_PARTS: Final = 128

_EXPAND: Final = r"%(?:\{(?:[slodiphv])[0-9]{0,9}r?[-.+,/_=]*\}|%|_|-)"
_EXPAND_IN_TEXT: Final = r"%(?:\{(?:[slodiphvcrt])[0-9]{0,9}r?[-.+,/_=]*\}|%|_|-)"
_LITERAL: Final = r"[!-$&-~]"
_TOP_LABEL: Final = r"(?![0-9]+\.?\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_MACRO_STRING: Final = re.compile(rf"(?:{_EXPAND}|{_LITERAL})*+", re.IGNORECASE)
_EXPLAIN_STRING: Final = re.compile(rf"(?:{_EXPAND_IN_TEXT}|{_LITERAL}| )*+", re.IGNORECASE)
_DOMAIN_END: Final = re.compile(rf"(?:{_EXPAND}|\.{_TOP_LABEL}\.?)\Z", re.IGNORECASE)
_PIECE: Final = re.compile(r"%\{([a-z])([0-9]*)(r?)([-.+,/_=]*)\}|%([%_-])", re.IGNORECASE)
_SIMPLE: Final = {"%": "%", "_": " ", "-": "%20"}


def check_macro_string(text: str) -> None:
    """Check the value of a modifier.

    Raises:
        SpfSyntaxError: it is no macro-string.

    """
    if not _MACRO_STRING.fullmatch(text):
        raise SpfSyntaxError(f"{text!r} is no macro-string")
    _check_digits(text)


def check_domain_spec(text: str) -> None:
    """Check a domain-spec: a macro-string with an end that is a name's (RFC 7208 §7.1).

    Raises:
        SpfSyntaxError: it is none.

    """
    if not _MACRO_STRING.fullmatch(text) or not _DOMAIN_END.search(text):
        raise SpfSyntaxError(f"{text!r} is no domain")
    _check_digits(text)


def check_explanation(text: str) -> None:
    """Check the text of an explanation.

    Raises:
        SpfSyntaxError: it is no explain-string.

    """
    if len(text) > _LONGEST_TEXT or not _EXPLAIN_STRING.fullmatch(text):
        raise SpfSyntaxError("it is no explain-string")
    _check_digits(text)


def uses(text: str, letter: str) -> bool:
    """Tell whether a macro with this letter is in a text, in either case."""
    return any((piece[1] or "").lower() == letter for piece in _PIECE.finditer(text))


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a text, checked before, with its macros replaced by `values`, letter by letter."""
    known: dict[str, str] = {}  # four thousand times the same macro is worked out once

    def replacement(piece: re.Match[str]) -> str:
        if (made := known.get(piece[0])) is not None:
            return made
        letter, digits, reverse, delimiters, simple = piece.groups()
        if simple:
            return _SIMPLE[simple]
        value = _transformed(values[letter.lower()], digits, bool(reverse), delimiters)
        known[piece[0]] = made = quote(value, safe="") if letter.isupper() else value
        return made

    return _PIECE.sub(replacement, text)


def fitting_name(name: str) -> str:
    """Return an expanded name without the dot at its end, short enough: labels are removed from its
    left (RFC 7208 §7.3).
    """
    name = name.removesuffix(".")
    if len(name) <= LONGEST_NAME:
        return name
    dot = name.find(".", len(name) - LONGEST_NAME - 1)
    return name[dot + 1 :] if dot >= 0 else name.rpartition(".")[2]


def is_domain(name: str) -> bool:
    """Tell whether a name can be asked for: several labels of 1 to 63 characters (RFC 7208 §4.3)."""
    labels = name.split(".")
    return (
        len(labels) > 1
        and len(name) <= LONGEST_NAME
        and all(0 < len(label) < 64 for label in labels)
    )


def _check_digits(text: str) -> None:
    for piece in _PIECE.finditer(text):
        if piece[2] and int(piece[2]) == 0:
            raise SpfSyntaxError(f"{piece[0]!r} keeps no part of its value")


def _transformed(value: str, digits: str, reverse: bool, delimiters: str) -> str:
    if not (digits or reverse or delimiters):
        return value
    delimiters = delimiters or "."
    first = delimiters[0]
    for other in set(delimiters):
        value = value.replace(other, first)
    parts = value.split(first)
    if reverse:
        parts.reverse()
    if digits:
        parts = parts[-min(int(digits), _MOST_PARTS) :]
    return ".".join(parts)
