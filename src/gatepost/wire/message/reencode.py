"""Content made fit for a next hop that takes less than ours did (RFC 6152 §3, RFC 3030 §3).

Leaf parts get another Content-Transfer-Encoding (RFC 2045 §6), everything else stays as it came.
What is signed or encrypted as a whole (RFC 1847) is never touched.
"""

import re
from binascii import Error as NotBase64Error
from binascii import a2b_base64, a2b_qp, b2a_base64, b2a_qp
from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import Header, HeaderFault, scan
from gatepost.wire.message.limits import HEADER_SECTION, LINE
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
#: Parts within parts; RFC 2046 knows no bound, nobody needs more. Each level is looked through anew.
_DEEPEST: Final = 10
#: What may be a line between parts, in the whole message.
_MOST_PARTS: Final = 5_000
#: Octets of text that are encoded at one go (3 ms).
_STRETCH: Final = 256 * 1024
_ENCODING_FIELD: Final = re.compile(
    rb"^content-transfer-encoding:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", re.IGNORECASE | re.MULTILINE
)
_REST_OF_DELIMITER: Final = re.compile(rb"(--)?[ \t]*(?=\r\n|\Z)")
#: Octets of a base64 line before they are encoded: 76 behind (RFC 2045 §6.8).
_BASE64_LINE: Final = 57
#: Octets that are encoded in base64 at one go.
_BLOCK: Final = 4096 * _BASE64_LINE


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
    if is_fit(content, capacity):
        return content
    try:
        made = _Conversion(content, capacity).made()
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


class _Conversion:
    """One message made fit: offsets into its octets, of which only what changes is copied."""

    __slots__ = ("_capacity", "_content", "_made", "_marks", "_view")

    def __init__(self, content: bytes, capacity: Capacity) -> None:
        self._content = content
        self._view = memoryview(content)
        self._capacity = capacity
        self._made: list[bytes | memoryview] = []
        #: How many more delimiters may be met.
        self._marks = _MOST_PARTS

    def made(self) -> bytes:
        """Return the whole message. Raises _UnconvertibleError."""
        self._entity(0, len(self._content), depth=0, is_message=True)
        return b"".join(self._made)

    def _is_fit(self, start: int, end: int) -> bool:
        return is_fit(self._content[start:end], self._capacity)

    def _entity(self, start: int, end: int, *, depth: int, is_message: bool = False) -> None:
        """Write one entity (RFC 2045 §2.4), header and body, made fit."""
        if self._is_fit(start, end):
            self._made.append(self._view[start:end])
            return
        if depth > _DEEPEST:
            raise _UnconvertibleError("it has too many parts within parts")
        section = self._section(start, end)
        header = scan(section)
        if isinstance(header, HeaderFault):
            raise _UnconvertibleError(f"a part's {header.words}")
        head = self._head(section, header)
        body = start + header.body
        if self._is_fit(body, end):
            self._made += (head, _CRLF, self._view[body:end])
            return
        media_type = media_type_of(section, header)
        encoding = encoding_of(section, header)
        if media_type is None or encoding is None:
            raise _UnconvertibleError("a part says twice of what type it is, or not clearly")
        if is_message and b"mime-version" not in header.names:
            head += b"MIME-Version: 1.0\r\n"
            if b"content-type" not in header.names:
                charset = _charset(self._view[body:end])
                head += b"Content-Type: text/plain; charset=%b\r\n" % charset
        if media_type.name in _PROTECTED:
            raise _UnconvertibleError("it is signed or encrypted as it stands")
        if _is_composite(media_type.name):
            now = b"7bit" if self._capacity is Capacity.SEVEN_BIT else b"8bit"
            self._made.append(_with_encoding(head, header, now))
            self._composite(body, end, media_type, encoding, depth)
        else:
            pieces, now = _leaf(self._content[body:end], media_type, encoding)
            self._made.append(_with_encoding(head, header, now))
            self._made += pieces

    def _section(self, start: int, end: int) -> bytes:
        """Return an entity's header section with the empty line, or as much as tells that it is too
        large.
        """
        most = min(end, start + HEADER_SECTION + 4)
        empty_line = self._content.find(b"\r\n\r\n", start, most)
        return self._content[start : most if empty_line < 0 else empty_line + 4]

    def _head(self, section: bytes, header: Header) -> bytes:
        head = section[: header.end]
        if self._capacity is Capacity.SEVEN_BIT and not head.isascii():
            plain = ascii_fields(section, header)
            if isinstance(plain, HeaderFault):
                raise _UnconvertibleError(f"in its header, {plain.words}", in_header=True)
            head = plain
        return _folded(head) if has_long_line(head) else head

    def _composite(
        self, start: int, end: int, media_type: MediaType, encoding: bytes, depth: int
    ) -> None:
        """Write the body of a message or multipart, its parts made fit."""
        name = media_type.name
        if encoding not in _IDENTITY:
            raise _UnconvertibleError(f"{name} is encoded as a whole")
        if name == _MESSAGE:
            self._entity(start, end, depth=depth + 1, is_message=True)
        elif name.startswith("message/"):
            raise _UnconvertibleError(f"{name} must not be encoded")
        else:
            self._multipart(start, end, media_type, depth)

    def _multipart(self, start: int, end: int, media_type: MediaType, depth: int) -> None:
        """Write the parts made fit, with the delimiters between them as they were (RFC 2046 §5.1)."""
        if not media_type.boundary:
            raise _UnconvertibleError(f"{media_type.name} has no boundary")
        # A delimiter is a line: the first one's CRLF may be that of the header's empty line.
        before = start - len(_CRLF)
        found = self._delimiters(before, end, media_type.boundary)
        if not found or found[0].closes:
            raise _UnconvertibleError(f"{media_type.name} has no parts")
        first = found[0].start
        # What stands before the first part or behind the last goes where it is not fit: no reader
        # shows it.
        if first > before and self._is_fit(before, first):
            self._made += (self._view[start:first], _CRLF)
        for at, here in enumerate(found):
            self._made.append(self._view[here.start + (len(_CRLF) if not at else 0) : here.end])
            if here.closes:
                if self._is_fit(here.end, end):
                    self._made.append(self._view[here.end : end])
                break
            part_end = found[at + 1].start if at + 1 < len(found) else end
            part = here.end + len(_CRLF)
            if part <= part_end:
                self._made.append(_CRLF)
                self._entity(part, part_end, depth=depth + 1)

    def _delimiters(self, start: int, end: int, boundary: bytes) -> list[_Delimiter]:
        """Find what parts a multipart. `find` is thirty times as fast as a regular expression, and
        25 MiB may be looked through once for each of ten multiparts in one another.
        """
        content, mark = self._content, b"\r\n--" + boundary
        found: list[_Delimiter] = []
        while (start := content.find(mark, start, end)) >= 0:
            self._marks -= 1
            if self._marks < 0:
                raise _UnconvertibleError("it has too many parts")
            behind = start + len(mark)
            if rest := _REST_OF_DELIMITER.match(content, behind, end):
                behind = rest.end()
                found.append(_Delimiter(start, behind, rest[1] is not None))
            start = behind
        return found


def _is_composite(name: str) -> bool:
    return name.startswith(("multipart/", "message/")) and name not in _GLOBAL


def _leaf(body: bytes, media_type: MediaType, encoding: bytes) -> tuple[list[bytes], bytes]:
    """Return a body made fit, in pieces, and its encoding from now on."""
    plain = _decoded(body, encoding)
    if media_type.name.startswith("text/") and _is_readable(plain):
        return _quoted_printable(plain), b"quoted-printable"
    return _base64(plain), b"base64"


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


def _is_readable(text: bytes) -> bool:
    """Tell whether people could read it in quoted-printable: mostly ASCII, else it would be longer than
    base64, and without a bare CR or LF, which that might take for a line's end (RFC 2045 §6.7).
    """
    if not has_clean_line_ends(text):
        return False
    return 4 * len(text.translate(None, _ASCII)) <= len(text)


def _base64(octets: bytes) -> list[bytes]:
    return [_base64_lines(octets[at : at + _BLOCK]) for at in range(0, len(octets), _BLOCK)]


def _base64_lines(octets: bytes) -> bytes:
    lines = [
        b2a_base64(octets[at : at + _BASE64_LINE], newline=False)
        for at in range(0, len(octets), _BASE64_LINE)
    ]
    return b"".join([line + _CRLF for line in lines])


def _quoted_printable(text: bytes) -> list[bytes]:
    """Encode by RFC 2045 §6.7: CRLF ends lines."""
    return [_quoted_lines(text[at:to]) for at, to in _stretches(text)]


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


def _with_encoding(head: bytes, header: Header, encoding: bytes) -> bytes:
    """Return a header section that names the encoding, with the empty line behind it."""
    field = b"Content-Transfer-Encoding: %b\r\n" % encoding
    if b"content-transfer-encoding" in header.names:
        return _ENCODING_FIELD.sub(field, head, count=1) + _CRLF
    return head + field + _CRLF


def _charset(text: memoryview) -> bytes:
    """Return the charset of text that says nothing; RFC 1428 §3 has a name for what nobody knows."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(text), _STRETCH):
            decoder.decode(text[at : at + _STRETCH])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return b"unknown-8bit"
    return b"utf-8"
