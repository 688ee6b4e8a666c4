"""SASLprep (RFC 4013): user names and passwords in the one form in which they are compared."""

import stringprep
from collections.abc import Callable
from typing import Final
from unicodedata import normalize, ucd_3_2_0

#: In characters, before and behind normalising: a stranger's combining marks take quadratic time, and one
#: letter may become eighteen, each of which is looked for in nine tables.
_LONGEST: Final = 1024
#: Of a name; an account's has no more octets (RFC 4616 §2 asks for 255).
_LONGEST_NAME: Final = 255

#: RFC 4013 §2.3.
_PROHIBITED: Final[tuple[Callable[[str], bool], ...]] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str, *, stored: bool = False) -> str:
    """Return `text` prepared; it may come out empty.

    With `stored` (a string that goes into the database) code points that Unicode 3.2 did not know
    are refused too; a query may hold them (RFC 4013 §2.5).

    Raises:
        ValueError: a prohibited character, or directions of writing that mix.

    """
    _check_length(text)
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c
        for c in text
        if not stringprep.in_table_b1(c) or stringprep.in_table_c12(c)
    )
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    _check_length(prepared)
    for character in prepared:
        if any(is_in_table(character) for is_in_table in _PROHIBITED):
            msg = f"character U+{ord(character):04X} is not allowed"
            raise ValueError(msg)
        if stored and stringprep.in_table_a1(character):
            msg = f"character U+{ord(character):04X} is newer than SASLprep (RFC 4013) knows"
            raise ValueError(msg)
    _check_directions(prepared)
    return prepared


def prepare_name(text: str, *, stored: bool = False) -> str:
    """Return an account's NAME as it is kept and looked up: SASLprep'd and case-folded.

    Raises:
        ValueError: not to be prepared, too long, or nothing is left.

    """
    _check_length(text, _LONGEST_NAME)
    if text.isascii() and text.isprintable():
        folded = text.lower()
    else:
        folded = saslprep(text, stored=stored)
        for _ in range(2):  # normalising can bring forth letters that are to be folded again
            folded = normalize("NFKC", folded.casefold())
    if not folded:
        msg = "an empty name"
        raise ValueError(msg)
    _check_length(folded, _LONGEST_NAME)
    return folded


def _check_length(text: str, longest: int = _LONGEST) -> None:
    if len(text) > longest:
        msg = "too long to be prepared"
        raise ValueError(msg)


def _check_directions(text: str) -> None:
    """Refuse mixed directions of writing (RFC 4013 §2.4)."""
    if not any(map(stringprep.in_table_d1, text)):
        return
    if any(map(stringprep.in_table_d2, text)):
        msg = "left-to-right and right-to-left characters are mixed"
        raise ValueError(msg)
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        msg = "right-to-left text must begin and end with right-to-left characters"
        raise ValueError(msg)
