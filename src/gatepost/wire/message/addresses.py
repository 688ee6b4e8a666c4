"""The addresses that From, Sender and Reply-To name (RFC 5322 §3.4, §4.4; RFC 6532 §3.2).

Read strictly where two readers could see two addresses: what we let pass as this account's own
must be what the recipient's program shows. Lenient only in display names.
"""

import re
from collections.abc import Sequence
from typing import Final

from gatepost.wire.message.header import Flaw, HeaderFault, unfold
from gatepost.wire.message.limits import ADDRESS_FIELD, ADDRESSES

_ATOM: Final = r"[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+"
_DOT_ATOM: Final = rf"{_ATOM}(?:\.{_ATOM})*"
#: What nearly every message has: a display name of words or one quoted string, one address.
_ORDINARY: Final = re.compile(
    rf'(?:(?:"[^"\\]*"|{_ATOM}(?: {_ATOM})*)? ?<({_DOT_ATOM}@{_DOT_ATOM})>|({_DOT_ATOM}@{_DOT_ATOM}))'
)
_TOKEN: Final = re.compile(
    rf"(?P<white>[ \t\r\n]+)|(?P<atom>{_ATOM})"
    r'|(?P<quoted>"(?:[^"\\\x00]|\\[^\x00])*")'
    r"|(?P<literal>\[(?:[^\[\]\\\x00-\x08\x0b-\x1f]|\\[^\x00])*\])"
    r"|(?P<special>[<>:;@,.])|(?P<comment>\()"
)
_IN_COMMENT: Final = re.compile(r"[^()\\\x00]+|\\[^\x00]|(?P<open>\()|(?P<close>\))")
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_WHITE: Final = re.compile(r"[ \t\r\n]+")
_WHOLE_DOT_ATOM: Final = re.compile(_DOT_ATOM)


class _BadAddressError(ValueError):
    """The value is no address list; never leaves this module."""


def addresses_of(field_value: bytes) -> tuple[str, ...] | HeaderFault:
    """Return the addr-specs of an address list: `local-part@domain`, without comments, folds and
    display names; a needlessly quoted local part is unquoted. The domain is as written.

    An empty list (only empty groups, RFC 6854) is (). Never raises.
    """
    if len(field_value) > ADDRESS_FIELD:
        return HeaderFault(Flaw.LONG_ADDRESSES)
    try:
        text = unfold(field_value).decode("utf-8")
    except UnicodeDecodeError:
        return HeaderFault(Flaw.NOT_UTF8)
    if found := _ORDINARY.fullmatch(text):
        return (found[1] or found[2],)
    try:
        return _AddressList(_tokens(text)).read()
    except _BadAddressError:
        return HeaderFault(Flaw.BAD_ADDRESS)


def a_labels(domain: str) -> str | None:
    """Return a domain in lower-case A-labels (RFC 5890), a literal in lower case; None
    when it cannot be written so.
    """
    if domain.isascii():
        return domain.lower()
    import idna  # noqa: PLC0415 - 20 ms that nearly nobody needs

    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        return None


class _Token:
    """A word or a special; `kind` is atom, quoted, literal, or the special itself."""

    __slots__ = ("kind", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text


_END: Final = _Token("", "")


def _tokens(text: str) -> list[_Token]:
    """Cut a field body into tokens; white space and comments only part them (RFC 5322 §3.2)."""
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _BadAddressError
        position = found.end()
        kind = found.lastgroup or ""
        if kind == "comment":
            position = _behind_comment(text, position)
        elif kind == "special":
            tokens.append(_Token(found[0], found[0]))
        elif kind != "white":
            tokens.append(_Token(kind, found[0]))
    return tokens


def _behind_comment(text: str, position: int) -> int:
    """Return the offset behind the comment whose "(" ends at `position`; comments nest."""
    depth = 1
    while depth:
        found = _IN_COMMENT.match(text, position)
        if found is None:
            raise _BadAddressError
        depth += (found["open"] is not None) - (found["close"] is not None)
        position = found.end()
    return position


class _AddressList:
    """Reads tokens by the grammar of RFC 5322 §3.4, with the obsolete forms of §4.4."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._found: list[str] = []

    def read(self) -> tuple[str, ...]:
        in_group = False
        while (kind := self._kind()) or in_group:
            if kind == ",":  # empty elements: RFC 5322 §4.4 obs-addr-list
                self._at += 1
            elif kind == ";" and in_group:
                in_group = False
                self._at += 1
                self._expect_separator()
            else:
                in_group = self._element(in_group)
        return tuple(self._found)

    def _element(self, in_group: bool) -> bool:
        """Read one mailbox, or the beginning of a group; tell whether a group is open."""
        words = self._words()
        special = self._kind()
        if special == ":" and words and not in_group:
            self._at += 1
            return True
        if special == "<":
            self._angle()
        elif special == "@":
            self._add(self._local_part(words))
        else:
            raise _BadAddressError
        self._expect_separator(in_group=in_group)
        return in_group

    def _angle(self) -> None:
        self._take("<")
        if self._kind() in {"@", ","}:
            self._route()
        self._add(self._local_part(self._words()))
        self._take(">")

    def _route(self) -> None:
        """Skip a source route (RFC 5322 §4.4 obs-route)."""
        while (kind := self._kind()) != ":":
            if kind == "@":
                self._domain()
            elif kind == ",":
                self._at += 1
            else:
                raise _BadAddressError
        self._at += 1

    def _add(self, local_part: str) -> None:
        if len(self._found) >= ADDRESSES:
            raise _BadAddressError
        self._found.append(f"{local_part}@{self._domain()}")

    def _domain(self) -> str:
        """Read "@" and a domain (RFC 5322 §3.4.1, §4.4 obs-domain)."""
        self._take("@")
        if self._kind() == "literal":
            self._at += 1
            return _WHITE.sub("", self._tokens[self._at - 1].text)
        labels = [self._take("atom")]
        while self._kind() == ".":
            self._at += 1
            labels.append(self._take("atom"))
        return ".".join(labels)

    def _words(self) -> list[_Token]:
        """Read words and dots: a display name or a local part, as what follows will tell."""
        start = self._at
        while self._kind() in {"atom", "quoted", "literal", "."}:
            self._at += 1
        return list(self._tokens[start : self._at])

    @staticmethod
    def _local_part(words: list[_Token]) -> str:
        """Return words parted by single dots as a local part (RFC 5322 §4.4 obs-local-part)."""
        if len(words) % 2 == 0 or any(w.kind != "." for w in words[1::2]):
            raise _BadAddressError
        if any(w.kind not in {"atom", "quoted"} for w in words[::2]):
            raise _BadAddressError
        plain = ".".join(_unquote(w) for w in words[::2])
        if _WHOLE_DOT_ATOM.fullmatch(plain):
            return plain
        escaped = plain.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}"'

    def _kind(self) -> str:
        return self._tokens[self._at].kind if self._at < len(self._tokens) else _END.kind

    def _take(self, kind: str) -> str:
        if self._kind() != kind:
            raise _BadAddressError
        self._at += 1
        return self._tokens[self._at - 1].text

    def _expect_separator(self, *, in_group: bool = False) -> None:
        if self._kind() not in ({",", ";"} if in_group else {",", ""}):
            raise _BadAddressError


def _unquote(word: _Token) -> str:
    return _QUOTED_PAIR.sub(r"\1", word.text[1:-1]) if word.kind == "quoted" else word.text
