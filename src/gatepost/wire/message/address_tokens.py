"""Words, comments and specials of an address list (RFC 5322 §3.2, RFC 6532 §3.2): the one way in which
address fields are cut, whoever reads them or writes them anew.
"""

import re
from collections.abc import Iterable
from typing import Final

ATOM: Final = r"[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+"
_TOKEN: Final = re.compile(
    rf"(?P<white>[ \t\r\n]+)|(?P<atom>{ATOM})"
    r'|(?P<quoted>"(?:[^"\\\x00]|\\[^\x00])*+")'
    r"|(?P<literal>\[(?:[^\[\]\\\x00-\x08\x0b-\x1f]|\\[^\x00])*+\])"
    r"|(?P<special>[<>:;@,.])|(?P<comment>\()",
    re.DOTALL,
)
#: More tokens are no list: as many addresses as a header section holds have fewer, and whoever writes
#: nothing but specials shall not keep others waiting.
_MOST: Final = 50_000
_IN_COMMENT: Final = re.compile(r"[^()\\\x00]++|\\[^\x00]|(?P<open>\()|(?P<close>\))", re.DOTALL)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


class BadAddressError(ValueError):
    """A text is no address list: something is open, or stands where it must not."""


class Token:
    """A piece of a field's body as it stands. `kind` is white, comment, atom, quoted, literal, or the
    special itself.
    """

    __slots__ = ("kind", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text


def cut(text: str) -> list[Token]:
    """Cut a field's body into tokens, which joined are the text.

    Raises:
        BadAddressError: it cannot be cut, or into too many.

    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or len(tokens) >= _MOST:
            raise BadAddressError
        kind, start = found.lastgroup or "", position
        position = found.end()
        if kind == "comment":
            position = _behind_comment(text, position)
        elif kind == "special":
            kind = found[0]
        tokens.append(Token(kind, text[start:position]))
    return tokens


def without_white(tokens: Iterable[Token]) -> list[Token]:
    """Return what means something: white space and comments only part the others."""
    return [token for token in tokens if token.kind not in {"white", "comment"}]


def unquote(token: Token) -> str:
    """Return a word's text: of a quoted string what it quotes."""
    return unescape(token.text[1:-1]) if token.kind == "quoted" else token.text


def unescape(text: str) -> str:
    """Return text with its quoted pairs undone (RFC 5322 §3.2.1)."""
    return _QUOTED_PAIR.sub(r"\1", text)


def _behind_comment(text: str, position: int) -> int:
    """Return the offset behind the comment whose "(" ends at `position`; comments nest."""
    depth = 1
    while depth:
        found = _IN_COMMENT.match(text, position)
        if found is None:
            raise BadAddressError
        depth += (found["open"] is not None) - (found["close"] is not None)
        position = found.end()
    return position
