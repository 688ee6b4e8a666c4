"""Header fields written in ASCII: encoded words (RFC 2047), encoded parameters (RFC 2231 §4).

What is ASCII already stays octet by octet, folds too. An address that is not ASCII cannot be
written so (RFC 6532 §3.2): then there is no answer.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote_from_bytes

from gatepost.wire.message.address_tokens import BadAddressError, Token, cut, unescape, unquote
from gatepost.wire.message.addresses import named_in
from gatepost.wire.message.header import Flaw, Header, HeaderFault, spell, unfold, value_of
from gatepost.wire.message.limits import WRITTEN_ADDRESSES

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
#: What ends a run of words, dots, comments and white space in an address list.
_SPECIALS: Final = frozenset("<>:;@,")
#: A phrase stands at the beginning or behind one of the first, and before one of the second.
_BEFORE_PHRASE: Final = frozenset({"", ",", ";", ":"})
_BEHIND_PHRASE: Final = frozenset({"<", ":"})
_COMMENT_TEXT: Final = re.compile(r"(?:[^()\\]++|\\.)++", re.DOTALL)
_PARAMETER: Final = re.compile(
    rb"(;[ \t\r\n]*+)([^\s=;\"]++)[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]|\\.)*+)\"|([^\s;\"]++))",
    re.DOTALL,
)
_LONGEST_PARAMETER: Final = 900


def ascii_fields(content: bytes, header: Header) -> bytes | HeaderFault:
    """Return the header section with all that is not ASCII encoded; a fault where that cannot be, or where
    it holds more addresses with something to encode than are read word by word.
    """
    made: list[bytes] = []
    left = WRITTEN_ADDRESSES
    for field in header.fields():
        whole = content[field.start : field.end]
        if not whole.isascii():
            if field.name in _ADDRESSES:
                left -= len(whole)
            if left < 0:
                return HeaderFault(Flaw.MUCH_TO_WRITE, spell(field.name))
            value = _encoded(field.name, value_of(content, field))
            if value is None:
                return HeaderFault(Flaw.NOT_ASCII, spell(field.name))
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
    """Encode the names and comments in a list of addresses. It names whom it named before, or there
    is no answer: nobody judges it again. What is no such list becomes text that names nobody.
    """
    if charset != b"utf-8":
        return None  # whose name it is must not be a guess
    tokens = _cut(value.decode("utf-8"))
    named = named_in(tokens)
    if named is None:
        return b" " + b"".join(_words(unfold(value), charset))
    made = _list_in_ascii(tokens)
    if made is None or named_in(_cut(made)) != named:
        return None
    return made.encode("ascii")


def _cut(text: str) -> list[Token]:
    """Return tokens with the folds between them, without those where one cannot be told from a control
    character (in a literal); something that is no list where it cannot be cut.
    """
    for form in (text, text.replace("\r\n", "")):
        try:
            return cut(form)
        except BadAddressError:
            continue
    return [Token("<", text)]


def _list_in_ascii(tokens: Iterable[Token]) -> str | None:
    made: list[str] = []
    run: list[Token] = []
    before = ""
    for token in (*tokens, Token("", "")):
        if token.kind and token.kind not in _SPECIALS:
            run.append(token)
            continue
        if before in _BEFORE_PHRASE and token.kind in _BEHIND_PHRASE:
            part = _phrase(run)
        else:
            part = "".join([_comment(t.text) if t.kind == "comment" else t.text for t in run])
        if not part.isascii():
            return None
        made += (" " if part.startswith("=?") else "", part)
        made += (" " if part.endswith("?=") else "", token.text)
        before, run = token.kind, []
    return "".join(made)


def _phrase(run: Iterable[Token]) -> str:
    """Encode words that are not ASCII, those side by side together, as in `_text`; what stands
    without white space between is one word (RFC 2047 §5).
    """
    made: list[str] = []
    plain = white = ""
    for piece in _pieces_of_phrase(run):
        if piece.kind == "white":
            white += piece.text
        elif piece.kind == "plain":
            if plain:
                plain += white.replace("\r\n", "")
            else:
                made.append(white or (" " if made else ""))
            plain, white = plain + piece.text, ""
        else:
            made += (_encoded_text(plain), white or (" " if plain else ""), piece.text)
            plain = white = ""
    made += (_encoded_text(plain), white)
    return "".join(made)


def _pieces_of_phrase(run: Iterable[Token]) -> Iterator[Token]:
    """Yield white space, comments in ASCII, words in ASCII as they stand, and the plain text of others."""
    word: list[Token] = []
    for token in (*run, Token("white", "")):
        if token.kind not in {"white", "comment"}:
            word.append(token)
            continue
        if word:
            written = "".join([each.text for each in word])
            if written.isascii():
                yield Token("ascii", written)
            else:
                yield Token("plain", "".join([_plain(each) for each in word]))
            word = []
        yield token if token.kind == "white" else Token("comment", _comment(token.text))


def _plain(token: Token) -> str:
    return unquote(Token(token.kind, token.text.replace("\r\n", "")))


def _comment(comment: str) -> str:
    """Encode what is not ASCII between the parentheses of a comment and of those in it."""
    if comment.isascii():
        return comment
    return _COMMENT_TEXT.sub(
        lambda found: (
            found[0]
            if found[0].isascii()
            else _encoded_text(unescape(found[0].replace("\r\n", "")))
        ),
        comment,
    )


def _encoded_text(text: str) -> str:
    return b"".join(_words(text.encode(), b"utf-8")).decode("ascii")


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
