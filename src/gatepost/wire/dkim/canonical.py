"""Header fields and bodies in the form that is signed (RFC 6376 §3.4)."""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

_CRLF: Final = b"\r\n"
_BLANK: Final = b" \t\r\n"


class Canonicalization(StrEnum):
    """How much change on the way a signature endures."""

    SIMPLE = "simple"
    RELAXED = "relaxed"


def relaxed_field(name: bytes, value: bytes) -> bytes:
    """Return a field without its CRLF: name in lower case, unfolded, white space reduced to one
    space (RFC 6376 §3.4.2). `value` is what stands behind the colon.
    """
    value = _reduced(value.replace(_CRLF, b""))
    return name.lower().rstrip(b" \t") + b":" + value.strip(b" ")


def simple_field(name: bytes, value: bytes) -> bytes:
    """Return a field without its CRLF, untouched (RFC 6376 §3.4.1)."""
    return name + b":" + value.removesuffix(_CRLF)


class BodyHash:
    """SHA-256 of a body that comes in pieces, cut anywhere (RFC 6376 §3.4.3, §3.4.4, §3.7).

    What ends a piece in white space is kept until something else follows: it may be the end, where
    empty lines do not count.
    """

    __slots__ = ("_began", "_hash", "_left", "_relaxed", "_tail")

    def __init__(self, canonicalization: Canonicalization, length: int | None = None) -> None:
        """Take `length` where only the first so many canonical octets are signed (l=)."""
        self._relaxed = canonicalization is Canonicalization.RELAXED
        self._hash = hashlib.sha256()
        self._tail: list[bytes] = []
        self._left = length
        self._began = False

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        text = piece.rstrip(_BLANK if self._relaxed else _CRLF)
        if text:
            self._began = True
            if self._tail:
                self._take(b"".join((*self._tail, text)))
                self._tail.clear()
            else:
                self._take(text)
        if len(text) < len(piece):
            self._tail.append(piece[len(text) :])

    def digest(self) -> bytes:
        """End the body and return its hash."""
        tail = b"".join(self._tail)
        if self._relaxed:
            tail = _relaxed(tail if tail.endswith(_CRLF) else tail + _CRLF)
        tail = _without_empty_lines(tail)
        if tail or self._began or not self._relaxed:
            tail += _CRLF
        self._relaxed = False  # the tail is canonical already
        self._take(tail)
        return self._hash.digest()

    @property
    def is_short(self) -> bool:
        """Tell whether the body had fewer octets than l= said."""
        return bool(self._left)

    def _take(self, text: bytes) -> None:
        if self._relaxed:
            text = _relaxed(text)
        if self._left is not None:
            text = text[: self._left]
            self._left -= len(text)
        self._hash.update(text)


def body_hash(
    pieces: Iterable[bytes], canonicalization: Canonicalization = Canonicalization.RELAXED
) -> bytes:
    """Return the SHA-256 of a whole body."""
    body = BodyHash(canonicalization)
    for piece in pieces:
        body.update(piece)
    return body.digest()


def _relaxed(text: bytes) -> bytes:
    return _reduced(text).replace(b" \r\n", _CRLF)


def _reduced(text: bytes) -> bytes:
    """Return `text` with every run of white space as one space. Each round halves the runs: no
    input makes it slow, and ordinary text takes one look.
    """
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def _without_empty_lines(tail: bytes) -> bytes:
    """Return `tail` without the line ends that end it; a bare CR or LF is none."""
    text = tail.rstrip(_CRLF)
    ends = len(tail) - len(text)
    if tail.count(_CRLF, len(text)) * 2 == ends:
        return text
    end = len(tail)
    while tail.endswith(_CRLF, 0, end):
        end -= 2
    return tail[:end]
