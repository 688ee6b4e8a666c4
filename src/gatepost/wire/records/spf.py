"""SPF records: text to values (RFC 7208 §4.5, §4.6.1, §5, §6, §12)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from gatepost.wire.records.spf_error import SpfSyntaxError
from gatepost.wire.records.spf_macro import check_domain_spec, check_macro_string

_VERSION: Final = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_MODIFIER: Final = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.DOTALL)
_DIRECTIVE: Final = re.compile(
    r"([-+?~]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?![^:/])(.*)", re.IGNORECASE | re.DOTALL
)
_LENGTHS: Final = re.compile(r"(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?\Z")
_NETWORK: Final = re.compile(r":([0-9a-f.:]+)(?:/(0|[1-9][0-9]{0,2}))?", re.IGNORECASE)
#: Characters of one record, and terms of it, that are looked at: far more than real ones have.
_LONGEST: Final = 16_384
_MOST_TERMS: Final = 500


class SpfResult(StrEnum):
    """What an evaluation came to (RFC 7208 §2.6)."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPORARY = "temperror"
    PERMANENT = "permerror"


class MechanismKind(StrEnum):
    """The mechanisms of RFC 7208 §5."""

    ALL = "all"
    INCLUDE = "include"
    A = "a"
    MX = "mx"
    PTR = "ptr"
    IP4 = "ip4"
    IP6 = "ip6"
    EXISTS = "exists"


_QUALIFIERS: Final = {
    "": SpfResult.PASS,
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}
_NEEDS_DOMAIN: Final = (MechanismKind.INCLUDE, MechanismKind.EXISTS)
_HAS_LENGTHS: Final = (MechanismKind.A, MechanismKind.MX)


@dataclass(frozen=True, slots=True)
class Directive:
    """One mechanism with the result that its match means.

    `domain` is its domain-spec with macros, "" for none; `network` that of ip4 and ip6; `length4`
    and `length6` are prefix lengths in bits; `text` is how it stands in the record.
    """

    result: SpfResult
    kind: MechanismKind
    text: str
    domain: str = ""
    network: IPv4Network | IPv6Network | None = None
    length4: int = 32
    length6: int = 128


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """A record. `redirect` and `explanation` are domain-specs with macros, "" for none."""

    directives: tuple[Directive, ...] = ()
    redirect: str = ""
    explanation: str = ""


def spf_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Return those among a name's TXT records that are SPF records (RFC 7208 §4.5)."""
    return tuple(text for text in texts if _VERSION.match(text))


def parse_spf(text: str) -> SpfRecord:
    """Read a record that `spf_texts` chose, its strings joined.

    Raises:
        SpfSyntaxError: it has a fault somewhere (RFC 7208 §4.6).

    """
    terms = [term for term in text[len("v=spf1") :].split(" ") if term]
    if len(text) > _LONGEST or len(terms) > _MOST_TERMS:
        raise SpfSyntaxError("it is longer than a record can be")
    directives: list[Directive] = []
    modifiers: dict[str, str] = {}
    for term in terms:
        if modifier := _MODIFIER.fullmatch(term):
            _take_modifier(modifier[1].lower(), modifier[2], modifiers)
        else:
            directives.append(_directive(term))
    return SpfRecord(tuple(directives), modifiers.get("redirect", ""), modifiers.get("exp", ""))


def _take_modifier(name: str, value: str, known: dict[str, str]) -> None:
    if name not in {"redirect", "exp"}:
        check_macro_string(value)
        return
    if name in known:
        raise SpfSyntaxError(f"{name}= stands there twice")
    check_domain_spec(value)
    known[name] = value


def _directive(term: str) -> Directive:
    found = _DIRECTIVE.fullmatch(term)
    if found is None:
        raise SpfSyntaxError(f"{term!r} is no mechanism and no modifier")
    result, kind, rest = _QUALIFIERS[found[1]], MechanismKind(found[2].lower()), found[3]
    if kind in {MechanismKind.IP4, MechanismKind.IP6}:
        return Directive(result, kind, term, network=_network(kind, rest, term))
    length4, length6 = 32, 128
    if kind in _HAS_LENGTHS:
        lengths = _LENGTHS.search(rest)
        if lengths:
            rest = rest[: lengths.start()]
            length4 = _length(lengths[1], 32, term)
            length6 = _length(lengths[2], 128, term)
    domain = _domain(kind, rest, term)
    return Directive(result, kind, term, domain, None, length4, length6)


def _domain(kind: MechanismKind, rest: str, term: str) -> str:
    if not rest:
        if kind in _NEEDS_DOMAIN:
            raise SpfSyntaxError(f"{term!r} names no domain")
        return ""
    if kind is MechanismKind.ALL or not rest.startswith(":"):
        raise SpfSyntaxError(f"{term!r} has something behind it that does not belong there")
    check_domain_spec(rest[1:])
    return rest[1:]


def _length(digits: str | None, most: int, term: str) -> int:
    if digits is None:
        return most
    if int(digits) > most:
        raise SpfSyntaxError(f"{term!r} has a prefix length above {most}")
    return int(digits)


def _network(kind: MechanismKind, rest: str, term: str) -> IPv4Network | IPv6Network:
    found = _NETWORK.fullmatch(rest)
    if found is None:
        raise SpfSyntaxError(f"{term!r} names no network")
    try:
        if kind is MechanismKind.IP4:
            four = IPv4Address(found[1])
            return IPv4Network((four, _length(found[2], 32, term)), strict=False)
        six = IPv6Address(found[1])
        return IPv6Network((six, _length(found[2], 128, term)), strict=False)
    except ValueError as error:
        raise SpfSyntaxError(f"{term!r} names no network") from error
