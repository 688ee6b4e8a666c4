"""Content made fit for a next hop that takes less than ours did (RFC 6152 §3, RFC 3030 §3).

Leaf parts get another Content-Transfer-Encoding (RFC 2045 §6), everything else stays as it came.
What is signed or encrypted as a whole (RFC 1847) is never touched.
"""

import re
from binascii import Error as NotBase64Error
from binascii import a2b_base64, a2b_qp, b2a_base64, b2a_qp
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import Header, HeaderFault, scan
from gatepost.wire.message.limits import LINE
from gatepost.wire.message.line_ends import has_clean_line_ends, has_long_line
from gatepost.wire.message.media_type import MediaType, encoding_of, media_type_of

_CRLF: Final = b"\r\n"
_ASCII: Final = bytes(range(128))
_IDENTITY: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
#: RFC 1847 §2.1, §2.2: protected as a whole, down to the encoding of their parts.
_PROTECTED: Final = frozenset({"multipart/signed", "multipart/encrypted"})
#: Messages in messages whose parts we may look into (RFC 2046 §5.2.1).
_MESSAGE: Final = "message/rfc822"
#: Unlike others of their kind these may be encoded (RFC 6532 §3.7, RFC 6533 §6).
_GLOBAL: Final = frozenset({"message/global", "message/global-headers"})
#: Parts within parts; RFC 2046 knows no bound, nobody needs more.
_DEEPEST: Final = 30
#: Parts of one multipart.
_MOST_PARTS: Final = 10_000
#: Octets of text that are encoded at one go (3 ms).
_STRETCH: Final = 256 * 1024
_REST_OF_DELIMITER: Final = re.compile(rb"(--)?[ \t]*(?=\r\n|\Z)")
#: Octets of a base64 line before they are encoded: 76 behind (RFC 2045 §6.8).
_BASE64_LINE: Final = 57


class Capacity(Enum):
    """What the next hop takes: lines of ASCII, or lines of any octets (RFC 6152)."""

    SEVEN_BIT = auto()
    EIGHT_BIT = auto()


@dataclass(frozen=True, slots=True)
class Unconvertible:
    """Why content cannot be made fit; `in_header`: an address in it is not ASCII (RFC 6531)."""

    words: str
    in_header: bool = False


@dataclass(frozen=True, slots=True)
class _Delimiter:
    """Where a line between parts begins (with the CRLF before it) and ends; the last one `closes`."""

    start: int
    end: int
    closes: bool


class _UnconvertibleError(ValueError):
    """Never leaves this module."""

    def __init__(self, words: str, *, in_header: bool = False) -> None:
        super().__init__(words)
        self.reason = Unconvertible(words, in_header)


def reencode(content: bytes, capacity: Capacity) -> bytes | Unconvertible:
    """Return the message as a next hop of this capacity can take it. Never raises.

    Nothing is lost: what the parts say after decoding is what they said before.
    """
    try:
        made = _entity(content, capacity, depth=0, is_message=True)
    except _UnconvertibleError as error:
        return error.reason
    if not is_fit(made, capacity):  # a bare line end that slips through could end content elsewhere
        return Unconvertible("it cannot be made lines of text")
    return made


def is_fit(octets: bytes, capacity: Capacity) -> bool:
    """Tell whether octets pass as they are: no NUL, whole lines of at most 998 octets, and no
    octet above 127 where those do not pass.
    """
    if capacity is Capacity.SEVEN_BIT and not octets.isascii():
        return False
    return b"\0" not in octets and has_clean_line_ends(octets) and not has_long_line(octets)


def _entity(octets: bytes, capacity: Capacity, *, depth: int, is_message: bool = False) -> bytes:
    """Return one entity (RFC 2045 §2.4), header and body, made fit."""
    if is_fit(octets, capacity):
        return octets
    if depth > _DEEPEST:
        raise _UnconvertibleError("it has too many parts within parts")
    header = scan(octets)
    if isinstance(header, HeaderFault):
        raise _UnconvertibleError(f"a part's {header.words}")
    head, body = octets[: header.end], octets[header.body :]
    if capacity is Capacity.SEVEN_BIT and not head.isascii():
        plain = ascii_fields(octets, header)
        if plain is None:
            raise _UnconvertibleError("its header names what is not ASCII", in_header=True)
        head = plain
    if has_long_line(head):
        head = _folded(head)
    if is_fit(body, capacity):
        return head + _CRLF + body
    media_type = media_type_of(octets, header)
    encoding = encoding_of(octets, header)
    if media_type is None or encoding is None:
        raise _UnconvertibleError("a part says twice of what type it is, or not clearly")
    body, encoding = _body(body, media_type, encoding, capacity, depth)
    return _with_encoding(head, header, encoding, is_message=is_message, body=octets) + body


def _folded(head: bytes) -> bytes:
    """Return a header section with its long lines folded before a white space (RFC 5322 §2.2.3)."""
    made: list[bytes] = []
    for line in head.split(_CRLF):
        rest = line
        while len(rest) > LINE:
            cut = max(rest.rfind(b" ", 1, LINE), rest.rfind(b"\t", 1, LINE))
            if cut < 0 or not rest[:cut].strip():
                raise _UnconvertibleError("a header line cannot be folded")
            made.append(rest[:cut])
            rest = rest[cut:]
        made.append(rest)
    return _CRLF.join(made)


def _body(
    body: bytes, media_type: MediaType, encoding: bytes, capacity: Capacity, depth: int
) -> tuple[bytes, bytes]:
    """Return a body made fit, and its encoding from now on."""
    name = media_type.name
    if name in _PROTECTED:
        raise _UnconvertibleError("it is signed or encrypted as it stands")
    if name.startswith(("multipart/", "message/")) and name not in _GLOBAL:
        if encoding not in _IDENTITY:
            raise _UnconvertibleError(f"{name} is encoded as a whole")
        now = b"7bit" if capacity is Capacity.SEVEN_BIT else b"8bit"
        if name == _MESSAGE:
            return _entity(body, capacity, depth=depth + 1, is_message=True), now
        if name.startswith("message/"):
            raise _UnconvertibleError(f"{name} must not be encoded")
        return _multipart(body, media_type, capacity, depth), now
    plain = _decoded(body, encoding)
    if name.startswith("text/") and not _is_mostly_eight_bit(plain):
        return _quoted_printable(plain), b"quoted-printable"
    return _base64(plain), b"base64"


def _multipart(body: bytes, media_type: MediaType, capacity: Capacity, depth: int) -> bytes:
    """Return the parts made fit, with the delimiters between them as they were (RFC 2046 §5.1)."""
    boundary = media_type.boundary
    if not boundary:
        raise _UnconvertibleError(f"{media_type.name} has no boundary")
    body = _CRLF + body  # a delimiter is a line: this one's CRLF may be the header's
    found = _delimiters(body, boundary)
    if not found or found[0].closes:
        raise _UnconvertibleError(f"{media_type.name} has no parts")
    made = [_for_nobody(body[: found[0].start], capacity)]
    for at, here in enumerate(found):
        made.append(body[here.start : here.end])
        if here.closes:
            made.append(_for_nobody(body[here.end :], capacity))
            break
        end = found[at + 1].start if at + 1 < len(found) else len(body)
        start = here.end + len(_CRLF)
        if start <= end:
            made += (_CRLF, _entity(body[start:end], capacity, depth=depth + 1))
    return b"".join(made)[len(_CRLF) :]


def _delimiters(body: bytes, boundary: bytes) -> list[_Delimiter]:
    """Find what parts a multipart. `find` is thirty times as fast as a regular expression, and 25
    MiB may be looked through once for each of thirty multiparts in one another.
    """
    mark = b"\r\n--" + boundary
    found: list[_Delimiter] = []
    start = body.find(mark)
    for _ in range(_MOST_PARTS):
        if start < 0:
            return found
        end = start + len(mark)
        if rest := _REST_OF_DELIMITER.match(body, end):
            end = rest.end()
            found.append(_Delimiter(start, end, rest[1] is not None))
        start = body.find(mark, end)
    if start >= 0:
        raise _UnconvertibleError("it has too many parts")
    return found


def _for_nobody(octets: bytes, capacity: Capacity) -> bytes:
    """Return what stands before the first part or behind the last: no reader shows it."""
    return octets if is_fit(octets, capacity) else b""


def _decoded(body: bytes, encoding: bytes) -> bytes:
    if encoding in _IDENTITY:
        return body
    if encoding == b"quoted-printable":
        return a2b_qp(body)
    if encoding == b"base64":
        try:
            return a2b_base64(body)
        except NotBase64Error:
            raise _UnconvertibleError("a part is not the base64 that it says it is") from None
    raise _UnconvertibleError("a part has an encoding that nobody knows")


def _is_mostly_eight_bit(text: bytes) -> bool:
    """Tell whether nobody could read it in quoted-printable, which is longer than base64 then."""
    return 4 * len(text.translate(None, _ASCII)) > len(text)


def _base64(octets: bytes) -> bytes:
    lines = [
        b2a_base64(octets[at : at + _BASE64_LINE], newline=False)
        for at in range(0, len(octets), _BASE64_LINE)
    ]
    return b"".join([line + _CRLF for line in lines])


def _quoted_printable(text: bytes) -> bytes:
    """Encode by RFC 2045 §6.7: CRLF ends lines, a bare CR or LF is content."""
    if has_clean_line_ends(text):
        return b"".join([_quoted_lines(text[at:to]) for at, to in _stretches(text)])
    lines = [b2a_qp(line, istext=False).replace(b"\n", _CRLF) for line in text.split(_CRLF)]
    return _CRLF.join(lines)


def _quoted_lines(lines: bytes) -> bytes:
    return b2a_qp(lines, istext=True).replace(_CRLF, b"\n").replace(b"\n", _CRLF)


def _stretches(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield offsets that cut a text into stretches of whole lines: the encoder keeps all of Python
    waiting while it works on one, other sessions too.
    """
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + _STRETCH) + 1
        yield start, end or len(text)
        start = end or len(text)


def _with_encoding(
    head: bytes, header: Header, encoding: bytes, *, is_message: bool, body: bytes
) -> bytes:
    """Return a header section that names the encoding, with the empty line behind it."""
    field = b"Content-Transfer-Encoding: %b\r\n" % encoding
    if b"content-transfer-encoding" in header.names:
        old = re.compile(
            rb"^content-transfer-encoding:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*",
            re.IGNORECASE | re.MULTILINE,
        )
        return old.sub(field, head, count=1) + _CRLF
    if is_message and b"mime-version" not in header.names:
        head += b"MIME-Version: 1.0\r\n"
        if b"content-type" not in header.names:
            head += b"Content-Type: text/plain; charset=%b\r\n" % _charset(body[header.body :])
    return head + field + _CRLF


def _charset(text: bytes) -> bytes:
    """Return the charset of text that says nothing; RFC 1428 §3 has a name for what nobody knows."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return b"unknown-8bit"
    return b"utf-8"
