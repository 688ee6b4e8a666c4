"""Where another reader may find other addresses in a field than we do (RFC 5322 §3.2, §4.4).

Readers disagree on whether comments nest, whether quotes count in them, what a backslash does, and
whether a bracket outside of an address means anything. What they then take for text of its own must
name nobody who is not named for us. Display names in quotes, where no such thing is about, may hold
what they like: many a one holds an address.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from gatepost.wire.message.address_tokens import Token

#: A pair of quotation marks in a comment: they end where they began for every reader.
_PAIR: Final = re.compile(r"\"[^\"()\\]*+\"")
_NOT_IN_COMMENT: Final = re.compile(r"[\"<>\\]")
_NOT_IN_LITERAL: Final = re.compile(r"[\"<>()@\\]")
#: A commercial at, with what may belong to it.
_LIKE_ADDRESS: Final = re.compile(r"[^\s\"<>()\[\],;:\\@]*+@[^\s\"<>()\[\],;:\\@]*+")
_INERT: Final = frozenset({"comment", "literal", "quoted"})
_IN_ADDRESS: Final = frozenset({"atom", "quoted", "literal", ".", "@"})


def hides_address(tokens: Sequence[Token], named: Sequence[str]) -> bool:
    """Tell whether comments, literals or quoted strings hold an address that is not among those
    `named`, or what shifts their ends.
    """
    inert = [token for token in tokens if token.kind in _INERT]
    shifting = [token for token in inert if token.kind != "quoted" or "\\" in token.text]
    if any(_shifts_end(token) for token in shifting):
        return True
    if any(_touches_word(tokens, at) for at in range(len(tokens))):
        return True
    if any(_is_half_quoted(run) for run in address_runs(tokens)):
        return True
    known = {address.lower() for address in named}
    like_addresses = (like for token in inert for like in _LIKE_ADDRESS.findall(token.text))
    return bool(shifting) and any(like.lower() not in known for like in like_addresses)


def address_runs(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of what looks like an address, with nothing between them."""
    run: list[Token] = []
    for token in (*tokens, Token("", "")):
        if token.kind in _IN_ADDRESS:
            run.append(token)
            continue
        if any(each.kind == "@" for each in run):
            yield run
        run = []


def _is_half_quoted(run: Sequence[Token]) -> bool:
    """Tell whether quotes are only about a part of a local part, or about what looks like an address."""
    quoted = [at for at, token in enumerate(run) if token.kind == "quoted"]
    return bool(quoted) and (quoted != [0] or run[1].kind != "@" or "@" in run[0].text)


def _shifts_end(token: Token) -> bool:
    if token.kind == "comment":
        return _NOT_IN_COMMENT.search(_PAIR.sub("", token.text)) is not None
    return token.kind == "literal" and _NOT_IN_LITERAL.search(token.text[1:-1]) is not None


def _touches_word(tokens: Sequence[Token], at: int) -> bool:
    """Tell whether a comment that has another one in it touches a word: a reader to whom comments do not
    nest makes one word of that and the comment's rest.
    """
    if tokens[at].kind != "comment" or "(" not in tokens[at].text[1:]:
        return False
    beside = (*tokens[max(at - 1, 0) : at], *tokens[at + 1 : at + 2])
    return any(token.kind in _IN_ADDRESS for token in beside)
