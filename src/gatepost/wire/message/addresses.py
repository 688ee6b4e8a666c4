"""The addresses that From, Sender and Reply-To name (RFC 5322 §3.4, §4.4; RFC 6532 §3.2).

Read strictly where two readers could see two addresses: what we let pass as this account's own
must be what the recipient's program shows. Lenient only in display names.
"""

import re
from collections.abc import Sequence
from typing import Final

from gatepost.wire.message.address_doubt import address_runs, hides_address
from gatepost.wire.message.address_tokens import (
    ATOM,
    BadAddressError,
    Token,
    cut,
    unquote,
    without_white,
)
from gatepost.wire.message.header import Flaw, HeaderFault, unfold
from gatepost.wire.message.limits import ADDRESS_FIELD, ADDRESSES

_DOT_ATOM: Final = rf"{ATOM}(?:\.{ATOM})*"
#: What nearly every message has: a display name of words or one quoted string, one address.
_ORDINARY: Final = re.compile(
    rf'(?:(?:"[^"\\]*"|{ATOM}(?: {ATOM})*)? ?<({_DOT_ATOM}@{_DOT_ATOM})>|({_DOT_ATOM}@{_DOT_ATOM}))'
)
_WHITE: Final = re.compile(r"[ \t\r\n]+")
_WHOLE_DOT_ATOM: Final = re.compile(_DOT_ATOM)


def addresses_of(field_value: bytes) -> tuple[str, ...] | HeaderFault:
    """Return the addr-specs of an address list: `local-part@domain`, without comments, folds and
    display names; a needlessly quoted local part is unquoted. The domain is as written.

    An empty list (only empty groups, RFC 6854) is (). Never raises.
    """
    if len(field_value) > ADDRESS_FIELD:
        return HeaderFault(Flaw.LONG_ADDRESSES)
    read = _read(field_value, ADDRESSES)
    return read if isinstance(read, HeaderFault) else read.found


def named_in(tokens: Sequence[Token]) -> tuple[str, ...] | None:
    """Return the addresses in a list that was cut, however long it is; None where it is none."""
    try:
        return _AddressList(without_white(tokens), len(tokens)).read()
    except BadAddressError:
        return None


def authors_of(field_value: bytes) -> tuple[str, ...] | HeaderFault:
    """As `addresses_of`, for a field that is judged by whom it names: a fault, too, where another reader
    might see somebody else (`address_doubt`).
    """
    if len(field_value) > ADDRESS_FIELD:
        return HeaderFault(Flaw.LONG_ADDRESSES)
    read = _read(field_value, ADDRESSES)
    if isinstance(read, HeaderFault):
        return read
    # RFC 2047 §5: no encoded word stands in an addr-spec; some readers decode it all the same.
    for address in read.found:
        if "=?" in address:
            return HeaderFault(Flaw.AMBIGUOUS)
    if read.tokens and (hides_address(read.tokens, read.found) or not _is_compact(read)):
        return HeaderFault(Flaw.AMBIGUOUS)
    return read.found


class _Read:
    """What was found, and in which tokens: none where the list was an ordinary one."""

    __slots__ = ("found", "tokens")

    def __init__(self, found: tuple[str, ...], tokens: Sequence[Token]) -> None:
        self.found = found
        self.tokens = tokens


def _read(field_value: bytes, most: int) -> _Read | HeaderFault:
    try:
        text = unfold(field_value).decode("utf-8")
    except UnicodeDecodeError:
        return HeaderFault(Flaw.NOT_UTF8)
    if found := _ORDINARY.fullmatch(text):
        return _Read((found[1] or found[2],), ())
    try:
        tokens = cut(text)
        return _Read(_AddressList(without_white(tokens), most).read(), tokens)
    except BadAddressError:
        return HeaderFault(Flaw.BAD_ADDRESS)


def _is_compact(read: _Read) -> bool:
    """Tell whether addresses stand there in one piece each: with white space or a comment within, or a
    route before them (RFC 5322 §4.4), they begin elsewhere for others.
    """
    try:
        written = [_AddressList(run, 1).read() for run in address_runs(read.tokens)]
    except BadAddressError:
        return False
    return written == [(address,) for address in read.found]


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


class _AddressList:
    """Reads tokens by the grammar of RFC 5322 §3.4, with the obsolete forms of §4.4."""

    def __init__(self, tokens: Sequence[Token], most: int) -> None:
        self._tokens = tokens
        self._most = most
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
            raise BadAddressError
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
                raise BadAddressError
        self._at += 1

    def _add(self, local_part: str) -> None:
        if len(self._found) >= self._most:
            raise BadAddressError
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

    def _words(self) -> list[Token]:
        """Read words and dots: a display name or a local part, as what follows will tell."""
        start = self._at
        while self._kind() in {"atom", "quoted", "literal", "."}:
            self._at += 1
        return list(self._tokens[start : self._at])

    @staticmethod
    def _local_part(words: list[Token]) -> str:
        """Return words parted by single dots as a local part (RFC 5322 §4.4 obs-local-part)."""
        if len(words) % 2 == 0 or any(w.kind != "." for w in words[1::2]):
            raise BadAddressError
        if any(w.kind not in {"atom", "quoted"} for w in words[::2]):
            raise BadAddressError
        plain = ".".join(unquote(w) for w in words[::2])
        if _WHOLE_DOT_ATOM.fullmatch(plain):
            return plain
        escaped = plain.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}"'

    def _kind(self) -> str:
        return self._tokens[self._at].kind if self._at < len(self._tokens) else ""

    def _take(self, kind: str) -> str:
        if self._kind() != kind:
            raise BadAddressError
        self._at += 1
        return self._tokens[self._at - 1].text

    def _expect_separator(self, *, in_group: bool = False) -> None:
        if self._kind() not in ({",", ";"} if in_group else {",", ""}):
            raise BadAddressError
