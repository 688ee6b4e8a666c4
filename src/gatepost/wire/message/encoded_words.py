"""Header fields written in ASCII: encoded words (RFC 2047), encoded parameters (RFC 2231 §4).

What is ASCII already stays octet by octet, folds too. An address that is not ASCII cannot be
written so (RFC 6532 §3.2): then there is no answer.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote_from_bytes

from gatepost.wire.message.header import Header, value_of

#: Fields of addresses: names and comments in them may be encoded words (RFC 2047 §5).
_ADDRESSES: Final = frozenset(
    {
        b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"resent-from", b"resent-sender",
        b"resent-to", b"resent-cc", b"resent-bcc", b"resent-reply-to", b"disposition-notification-to",
    }
)  # fmt: skip
_PARAMETERS: Final = frozenset({b"content-type", b"content-disposition"})
#: Structured fields in which nothing may be an encoded word.
_NOWHERE: Final = frozenset(
    {
        b"date", b"resent-date", b"message-id", b"resent-message-id", b"in-reply-to", b"references",
        b"received", b"return-path", b"mime-version", b"content-transfer-encoding", b"content-id",
        b"dkim-signature", b"authentication-results", b"list-unsubscribe", b"list-unsubscribe-post",
    }
)  # fmt: skip
#: Octets in one encoded word: 60 in base64, and it may have 75 (RFC 2047 §2).
_WORD: Final = 45
_WHITE: Final = re.compile(rb"([ \t\r\n]+)")
#: A quoted string, a comment without another in it, an angle address, anything else up to those.
#: What is escaped outside of them begins none: else each of thousands would be read to the end.
_PIECE: Final = re.compile(
    rb"(?P<quoted>\"(?:[^\"\\]|\\.)*+\")|(?P<comment>\((?:[^()\\]|\\.)*+\))|(?P<angle><[^<>]*+>)"
    rb"|(?:[^\"(<,;:\\]++|\\.)++|.",
    re.DOTALL,
)
_PARAMETER: Final = re.compile(
    rb"(;[ \t\r\n]*+)([^\s=;\"]++)[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]|\\.)*+)\"|([^\s;\"]++))",
    re.DOTALL,
)
_LONGEST_PARAMETER: Final = 900


def ascii_fields(content: bytes, header: Header) -> bytes | None:
    """Return the header section with all that is not ASCII encoded; None where that cannot be."""
    made: list[bytes] = []
    for field in header.fields():
        whole = content[field.start : field.end]
        if not whole.isascii():
            value = _encoded(field.name, value_of(content, field))
            if value is None:
                return None
            whole = content[field.start : field.value] + value + b"\r\n"
        made.append(whole)
    return b"".join(made)


def _encoded(name: bytes, value: bytes) -> bytes | None:
    if name in _NOWHERE:
        return None
    charset = _charset(value)
    if name in _ADDRESSES:
        return _address_list(value, charset)
    if name in _PARAMETERS:
        return _parameters(value, charset)
    return _text(value, charset)


def _charset(value: bytes) -> bytes:
    """RFC 1428 §3 has a name for octets of which nobody knows what they mean."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return b"unknown-8bit"
    return b"utf-8"


def _text(value: bytes, charset: bytes) -> bytes:
    """Encode words that are not ASCII, those side by side together: white space between encoded
    words is not shown (RFC 2047 §6.2).
    """
    made: list[bytes] = []
    run: list[bytes] = []  # words to encode, and the white space between them
    white = b""
    for piece in _WHITE.split(value):
        if not piece or _WHITE.fullmatch(piece):
            white += piece
        elif piece.isascii():
            made += (*_words(b"".join(run), charset), white, piece)
            run, white = [], b""
        elif run:
            run += (white.replace(b"\r\n", b""), piece)
            white = b""
        else:
            made.append(white)
            run, white = [piece], b""
    made += (*_words(b"".join(run), charset), white)
    return b"".join(made)


def _words(text: bytes, charset: bytes) -> Iterator[bytes]:
    """Yield encoded words and the folds between them; no character is cut (RFC 2047 §5)."""
    start = 0
    while start < len(text):
        end = min(start + _WORD, len(text))
        while charset == b"utf-8" and end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1
        if start:
            yield b"\r\n "
        yield b"=?%b?B?%b?=" % (charset, b2a_base64(text[start:end], newline=False))
        start = end


def _address_list(value: bytes, charset: bytes) -> bytes | None:
    if charset != b"utf-8":
        return None  # whose name it is must not be a guess
    made: list[bytes] = []
    for found in _PIECE.finditer(value):
        piece = found[0]
        if piece.isascii():
            made.append(piece)
            continue
        behind = value[found.end() : found.end() + 1]
        if found["quoted"] and behind not in {b"@", b"."}:
            inner = re.sub(rb"\\(.)", rb"\1", piece[1:-1].replace(b"\r\n", b""), flags=re.DOTALL)
            piece = b"".join(_words(inner, charset))
        elif found["comment"]:
            piece = b"(%b)" % _text(piece[1:-1], charset)
        elif found["angle"] or found["quoted"] or b"@" in piece:
            return None
        else:
            piece = _text(piece, charset)
        made.append(piece)
        if piece.endswith(b"?=") and behind not in {b"", b" ", b"\t", b"\r", b","}:
            made.append(b" ")
    return b"".join(made)


def _parameters(value: bytes, charset: bytes) -> bytes | None:
    def encode(found: re.Match[bytes]) -> bytes:
        lead, name, quoted, token = found.groups()
        if found[0].isascii() or not name.isascii():
            return found[0]
        plain = token or re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL)
        spelled = quote_from_bytes(plain.replace(b"\r\n", b""), safe="").encode("ascii")
        if len(spelled) > _LONGEST_PARAMETER:
            return found[0]
        return b"%b%b*=%b''%b" % (lead, name, charset, spelled)

    made = _PARAMETER.sub(encode, value)
    return made if made.isascii() else None
