"""What an account may send as, or write to: addresses, domains, patterns (RFC 6409 §6.1).

    app@example.com       this address; with tags on (RFC 5233) app+anything@example.com too
    news-*@example.com    local parts like this; "*" is any run of characters, also none
    "news-*"@example.com  in quotes it is an asterisk, and this one address
    @example.com          every address of this domain, not of those below it
    @.example.com         every address of all domains below it, not of itself
    app@.example.com      one local part there; a pattern may stand there too
    *                     every address there is

Local parts are compared without regard to case. By RFC 5321 §2.4 only the host that receives may
ignore it, and what we pass on is left as it is. But this asks another question: whom did the
operator mean by app@example.com? People type App@ and app@ for one mailbox, no provider gives the
two to two owners, and a refusal over a capital letter would help nobody.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from unicodedata import normalize

from gatepost.model.wrong import wrong
from gatepost.wire.message.addresses import a_labels
from gatepost.wire.smtp.grammar import is_domain, is_qualified, parse_mailbox

EVERYTHING: Final = "*"
#: What parts the tag from a local part, where nothing else is set.
TAG: Final = "+"
_NEEDS_QUOTES: Final = frozenset(' "(),:;<>@[\\]')
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE: Final = re.compile(r'["\\]')
#: In characters; an account's addresses keep to RFC 5321 §4.5.3.1. A longer one is nobody's, and
#: is neither normalised (a quarter of a megabyte of combining marks takes 16 s) nor remembered.
_LONGEST: Final = 320


def canonical(address: str) -> str | None:
    """Return the form in which addresses are compared and grants are kept: local part in lower
    case without needless quotes and backslashes, domain in lower-case A-labels. "@domain" stays
    so. None for what is no address, or a longer one than there can be.
    """
    return _canonical(address) if len(address) <= _LONGEST else None


@lru_cache(maxsize=8192)
def _canonical(address: str) -> str | None:
    local_part, at, domain = address.rpartition("@")
    labels = a_labels(domain)
    if not at or not labels:
        return None
    if _QUOTED.fullmatch(local_part):
        local_part = _in_needed_quotes(_QUOTED_PAIR.sub(r"\1", local_part[1:-1]))
    # Not casefold(), which takes "straße" and "strasse" for one: they may be two people.
    return f"{normalize('NFC', normalize('NFC', local_part).lower())}@{labels}"


def _in_needed_quotes(name: str) -> str:
    """Return a local part that was quoted in its shortest form: one mailbox has one (RFC 5321 §4.1.2)."""
    # Quotes are how an address says that its "*" is an asterisk.
    if name and not set(name) & (_NEEDS_QUOTES | {"*"}) and "" not in name.split("."):
        return name
    return '"' + _TO_ESCAPE.sub(r"\\\g<0>", name) + '"'


def parse_grant(text: str) -> str:
    """Return a grant as accounts keep it.

    Taken too: "*@example.com" for "@example.com"; "*.example.com", "@*.example.com" and
    "*@*.example.com" for "@.example.com"; "*@*" for "*".

    Raises:
        WrongValueError: it is none.

    """
    written = text.strip()
    if written in {EVERYTHING, "*@*"}:
        return EVERYTHING
    if written.startswith("*."):
        written = f"@{written}"
    local_part, at, domain = written.rpartition("@")
    below = domain.startswith((".", "*."))
    if below:
        domain = domain.removeprefix("*").removeprefix(".")
    form = canonical(f"{'' if local_part == EVERYTHING else local_part}@{domain}")
    if not at or form is None or not _can_be(form):
        msg = f'"{text}" names no address and no domain'
        mend = (
            'write an address "app@example.com", a pattern "news-*@example.com", a whole domain'
            ' "@example.com", or all domains below it "@.example.com"'
        )
        raise wrong(msg, mend)
    kept, _, labels = form.rpartition("@")
    return f"{kept}@.{labels}" if below else form


def _can_be(form: str) -> bool:
    local_part, _, domain = form.rpartition("@")
    if not local_part:
        return is_domain(domain) and is_qualified(domain)
    return parse_mailbox(form) is not None and is_qualified(domain)


def owns(grants: Sequence[str], address: str, tags: str = "") -> bool:
    """Tell whether `address` is among what `grants` (canonical, as an Account keeps them) name.

    `tags` are the characters that part a tag from a local part: app+tag is whose app is.
    """
    form = canonical(address)
    if form is None:
        return False
    at = form.rindex("@")
    domain = form[at + 1 :]
    if not at or domain.startswith(".") or ".." in domain:
        return False  # no address, whatever a grant looks like
    if form in grants or form[at:] in grants:
        return True  # nearly always
    local_part = form[:at]
    if "*" in local_part:  # whether in quotes or not, here it is an asterisk
        bare = local_part.removeprefix('"').removesuffix('"')
        if f'"{bare}"@{domain}' in grants:
            return True
        local_part = local_part if _NEEDS_QUOTES & set(bare) else bare
    return _compiled(tuple(grants)).hold(local_part, domain, tags)


def covers(grants: Sequence[str], grant: str) -> bool:
    """Tell whether everything that `grant` names is among what `grants` name, tags included."""
    if grant in grants or EVERYTHING in grants:
        return True
    local_part, at, domain = grant.rpartition("@")
    # A pattern holds another one where its "*" stand for all that the other's can be.
    return bool(at) and _compiled(tuple(grants)).hold(local_part, domain, TAG)


@dataclass(frozen=True, slots=True)
class _Rules:
    """Grants, sorted for asking. `patterns` are those of a domain (or ".domain"), cut at "*"."""

    everything: bool
    plain: frozenset[str]
    patterns: Mapping[str, tuple[tuple[str, ...], ...]]

    def hold(self, local_part: str, domain: str, tags: str) -> bool:
        if self.everything:
            return True
        names = (local_part, *_untagged(local_part, tags))
        for part in _domains(domain):
            if f"@{part}" in self.plain:
                return True
            if local_part and any(f"{name}@{part}" in self.plain for name in names):
                return True
            for pattern in self.patterns.get(part, ()):
                if local_part and any(_fits(pattern, name) for name in names):
                    return True
        return False


@lru_cache(maxsize=2048)
def _compiled(grants: tuple[str, ...]) -> _Rules:
    patterns: dict[str, tuple[tuple[str, ...], ...]] = {}
    for grant in grants:
        local_part, _, domain = grant.rpartition("@")
        if "*" in local_part and not local_part.startswith('"'):
            patterns[domain] = (*patterns.get(domain, ()), tuple(local_part.split("*")))
    return _Rules(EVERYTHING in grants, frozenset(grants), patterns)


def _domains(domain: str) -> Iterator[str]:
    """Yield how a domain (or ".domain") may be named: as it is, then what it is below."""
    yield domain
    if domain.startswith("["):
        return  # an address literal is below nothing
    rest = domain.removeprefix(".").partition(".")[2]
    while rest:
        yield f".{rest}"
        rest = rest.partition(".")[2]


def _untagged(local_part: str, tags: str) -> Iterator[str]:
    """Yield a local part without its tag, of several without each one's; a quoted one has none."""
    if not tags or local_part.startswith('"'):
        return
    for index, character in enumerate(local_part):
        if index and character in tags:
            yield local_part[:index]


def _fits(pattern: Sequence[str], text: str) -> bool:
    """Tell whether `text` is what stands between the "*" of a pattern, in order; in one pass."""
    first, *between, last = pattern
    if len(text) < len(first) + len(last) or not text.startswith(first):
        return False
    if not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for piece in between:
        position = text.find(piece, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True
