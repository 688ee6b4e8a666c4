"""May this client send for that domain: the check_host() of RFC 7208 §4.

A generator: it asks for DNS answers, bounded as in §4.6.4, and returns a verdict.
"""

from collections.abc import Generator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeVar

from gatepost.wire.records.question import Answer, Asking, Question, RecordType
from gatepost.wire.records.spf import (
    Directive,
    MechanismKind,
    SpfRecord,
    SpfResult,
    parse_spf,
    spf_texts,
)
from gatepost.wire.records.spf_error import (
    SpfPermanentError,
    SpfSyntaxError,
    SpfTemporaryError,
)
from gatepost.wire.records.spf_macro import (
    LONGEST_EXPLANATION,
    check_explanation,
    expand,
    fitting_name,
    is_domain,
    uses,
)

#: RFC 7208 §4.6.4.
MOST_LOOK_UPS: Final = 10
MOST_VOID: Final = 2
MOST_NAMES: Final = 10
#: Records that all mechanisms together may bring: a hundred look-ups with a thousand addresses each
#: would keep us busy for seconds.
MOST_RECORDS: Final = 1000

_Address = IPv4Address | IPv6Address
V = TypeVar("V")
_Steps = Generator[Question, Answer, V]


@dataclass(frozen=True, slots=True)
class SpfFacts:
    """What is checked.

    `sender` is the reverse-path, "" for the null one: then HELO's name is checked (RFC 7208 §2.4).
    `receiver` is our own name, `now` seconds since the Unix epoch; both are for explanations.
    """

    client: _Address
    sender: str
    helo: str
    receiver: str = "unknown"
    now: int = 0


@dataclass(frozen=True, slots=True)
class SpfVerdict:
    """What came of it: for which domain, by which term of whose record ("" for none), and why.

    `explanation` is what the domain's owner says to a fail, printable ASCII, "" for nothing: words
    of a stranger.
    """

    result: SpfResult
    domain: str
    term: str = ""
    reason: str = ""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one record ended; `record` is the one whose exp= counts (RFC 7208 §6.2)."""

    result: SpfResult
    term: str = ""
    reason: str = ""
    domain: str = ""
    record: SpfRecord | None = None


def check_host(facts: SpfFacts) -> Asking[SpfVerdict]:
    """Evaluate SPF for the reverse-path, or for HELO where that is the null one."""
    local_part, _, domain = facts.sender.rpartition("@")
    domain = (domain or facts.helo).removesuffix(".").lower()
    if not is_domain(domain) or not domain.isascii():
        return SpfVerdict(SpfResult.NONE, domain, reason="it is no domain name")
    check = _Check(facts, local_part or "postmaster", domain)
    try:
        outcome = yield from check.record_of(domain)
    except SpfTemporaryError as trouble:
        return SpfVerdict(SpfResult.TEMPORARY, domain, reason=str(trouble))
    except SpfPermanentError as fault:
        return SpfVerdict(SpfResult.PERMANENT, domain, reason=str(fault))
    explanation = ""
    if outcome.result is SpfResult.FAIL and outcome.record and outcome.record.explanation:
        explanation = yield from check.explanation(outcome.record.explanation, outcome.domain)
    return SpfVerdict(outcome.result, domain, outcome.term, outcome.reason, explanation)


class _Check:
    """One evaluation with its limits, over all records that it comes to (RFC 7208 §4.6.4)."""

    def __init__(self, facts: SpfFacts, local_part: str, domain: str) -> None:
        client = facts.client
        mapped = client.ipv4_mapped if isinstance(client, IPv6Address) else None
        self._client: _Address = mapped or client
        self._facts = facts
        self._look_ups = 0
        self._void = 0
        self._records = 0
        self._validated: tuple[str, ...] | None = None
        self._nameless = False
        is_six = isinstance(self._client, IPv6Address)
        self._hosts = RecordType.AAAA if is_six else RecordType.A
        dotted = ".".join(self._client.exploded.replace(":", "")) if is_six else str(self._client)
        self._values = {
            "s": f"{local_part}@{domain}",
            "l": local_part,
            "o": domain,
            "i": dotted,
            "v": "ip6" if is_six else "in-addr",
            "h": facts.helo,
            "c": str(self._client),
            "r": facts.receiver,
            "t": str(facts.now),
        }

    def record_of(self, domain: str) -> _Steps[_Outcome]:
        """Evaluate the record of a domain (RFC 7208 §4.3 to §4.7)."""
        if not is_domain(domain):
            return _Outcome(SpfResult.NONE, reason=f"{domain!r} is no domain name")
        answer = yield Question(domain, RecordType.TXT)
        if answer.failed:
            raise SpfTemporaryError(f"nobody could tell the record of {domain}")
        texts = spf_texts(answer.texts)
        if not texts:
            return _Outcome(SpfResult.NONE, reason=f"{domain} has no SPF record")
        if len(texts) > 1:
            raise SpfPermanentError(f"{domain} has {len(texts)} SPF records")
        try:
            record = parse_spf(texts[0])
        except SpfSyntaxError as fault:
            raise SpfPermanentError(f"the record of {domain}: {fault}") from None
        return (yield from self._evaluate(record, domain))

    def _evaluate(self, record: SpfRecord, domain: str) -> _Steps[_Outcome]:
        for directive in record.directives:
            if (yield from self._matches(directive, domain)):
                return _Outcome(directive.result, directive.text, "", domain, record)
        if not record.redirect:
            return _Outcome(SpfResult.NEUTRAL, reason="no mechanism matched")
        self._count(f"redirect={record.redirect}")
        target = yield from self._target(record.redirect, domain)
        outcome = yield from self.record_of(target)
        if outcome.result is SpfResult.NONE:
            raise SpfPermanentError(f"redirect={record.redirect}: {outcome.reason}")
        return outcome

    def explanation(self, spec: str, domain: str) -> _Steps[str]:
        """Return what the domain's owner says; "" where that cannot be had (RFC 7208 §6.2)."""
        target = yield from self._target(spec, domain)
        if not is_domain(target):
            return ""
        answer = yield Question(target, RecordType.TXT)
        if answer.failed or len(answer.texts) != 1:
            return ""
        try:
            check_explanation(answer.texts[0])
        except SpfSyntaxError:
            return ""
        words = yield from self._expanded(answer.texts[0], domain)
        return words[:LONGEST_EXPLANATION] if words.isascii() and words.isprintable() else ""

    # -- mechanisms (RFC 7208 §5)

    def _matches(self, directive: Directive, domain: str) -> _Steps[bool]:
        kind = directive.kind
        if kind is MechanismKind.ALL:
            return True
        if directive.network is not None:
            return _within(self._client, directive.network)
        self._count(directive.text)
        target = domain
        if directive.domain:
            target = yield from self._target(directive.domain, domain)
        if kind is MechanismKind.INCLUDE:
            return (yield from self._includes(target))
        if not is_domain(target):
            return False
        if kind is MechanismKind.EXISTS:
            return bool((yield from self._found(target, RecordType.A)))
        if kind is MechanismKind.PTR:
            return (yield from self._is_named(target))
        if kind is MechanismKind.MX:
            return (yield from self._exchanges(target, directive))
        addresses = yield from self._found(target, self._hosts)
        return self._among(addresses, directive)

    def _includes(self, target: str) -> _Steps[bool]:
        outcome = yield from self.record_of(target)
        if outcome.result is SpfResult.NONE:
            raise SpfPermanentError(f"include:{target}: {outcome.reason}")
        return outcome.result is SpfResult.PASS

    def _exchanges(self, target: str, directive: Directive) -> _Steps[bool]:
        hosts = yield from self._found(target, RecordType.MX)
        if len(hosts) > MOST_NAMES:
            raise SpfPermanentError(f"{directive.text}: more than {MOST_NAMES} hosts")
        for host in hosts:
            if not is_domain(host):
                continue
            addresses = yield from self._found(host, self._hosts)
            if self._among(addresses, directive):
                return True
        return False

    def _is_named(self, target: str) -> _Steps[bool]:
        names = yield from self._names()
        if self._nameless:
            self._count_void(Answer())
        return any(name == target or name.endswith(f".{target}") for name in names)

    def _names(self) -> _Steps[tuple[str, ...]]:
        """Return the client's names that lead back to it (RFC 7208 §5.5)."""
        if self._validated is None:
            self._validated = yield from self._validate()
        return self._validated

    def _validate(self) -> _Steps[tuple[str, ...]]:
        reverse = self._client.reverse_pointer
        answer = yield Question(reverse, RecordType.PTR)
        if answer.failed:
            return ()
        self._nameless = not answer.texts
        names: list[str] = []
        for text in answer.texts[:MOST_NAMES]:
            name = text.removesuffix(".").lower()
            if not is_domain(name):
                continue
            found = yield Question(name, self._hosts)
            if not found.failed and self._client in _addresses(found.texts):
                names.append(name)
        return tuple(names)

    def _found(self, name: str, kind: RecordType) -> _Steps[tuple[str, ...]]:
        """Ask for a mechanism: trouble is temperror, too many empty answers are permerror."""
        answer = yield Question(name, kind)
        if answer.failed:
            raise SpfTemporaryError(f"nobody could tell {kind.value} of {name}")
        self._count_void(answer)
        self._records += len(answer.texts)
        if self._records > MOST_RECORDS:
            raise SpfPermanentError(f"more than {MOST_RECORDS} records, at {name}")
        return tuple(text.removesuffix(".").lower() for text in answer.texts)

    def _count_void(self, answer: Answer) -> None:
        if not answer.texts:
            self._void += 1
            if self._void > MOST_VOID:
                raise SpfPermanentError(f"more than {MOST_VOID} look-ups found nothing")

    def _among(self, texts: tuple[str, ...], directive: Directive) -> bool:
        four, six = directive.length4, directive.length6
        return any(
            _within(self._client, _network_of(address, four, six)) for address in _addresses(texts)
        )

    def _count(self, term: str) -> None:
        self._look_ups += 1
        if self._look_ups > MOST_LOOK_UPS:
            raise SpfPermanentError(f"more than {MOST_LOOK_UPS} look-ups, at {term}")

    # -- names

    def _target(self, spec: str, domain: str) -> _Steps[str]:
        expanded = yield from self._expanded(spec, domain)
        return fitting_name(expanded).lower()

    def _expanded(self, text: str, domain: str) -> _Steps[str]:
        values = {**self._values, "d": domain}
        if uses(text, "p"):
            names = yield from self._names()
            values["p"] = _best_name(names, domain)
        return expand(text, values)


def _best_name(names: tuple[str, ...], domain: str) -> str:
    """Choose what %{p} stands for (RFC 7208 §7.3)."""
    if domain in names:
        return domain
    below = [name for name in names if name.endswith(f".{domain}")]
    return (below or list(names) or ["unknown"])[0]


def _addresses(texts: tuple[str, ...]) -> list[_Address]:
    found: list[_Address] = []
    for text in texts:
        try:
            found.append(IPv6Address(text) if ":" in text else IPv4Address(text))
        except ValueError:
            continue
    return found


def _network_of(address: _Address, length4: int, length6: int) -> IPv4Network | IPv6Network:
    if isinstance(address, IPv4Address):
        return IPv4Network((address, length4), strict=False)
    return IPv6Network((address, length6), strict=False)


def _within(client: _Address, network: IPv4Network | IPv6Network) -> bool:
    return client.version == network.version and client in network
