"""DMARC records, and what they say about one message (RFC 9989).

Records are text to values. `organizational`, `find_policy` and `evaluate` are generators: they ask
for the records of names, walking up the tree (RFC 9989 §4.10), and return what came of it.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from gatepost.wire.dkim.tags import TagError, parse_tags
from gatepost.wire.records.question import Answer, Asking, Question, RecordType

#: RFC 9989 §4.10: no walk asks more often, however long the name is.
MOST_QUESTIONS: Final = 8
_VERSION: Final = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_URI: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:[!-+\--:<-~]+")

V = TypeVar("V")
_Steps = Generator[Question, Answer, V]


class Policy(StrEnum):
    """What a domain's owner asks for where DMARC fails, mildest first."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


class DmarcResult(StrEnum):
    """What a message came to, in the words of RFC 8601's registry."""

    NONE = "none"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    TEMPORARY = "temperror"
    PERMANENT = "permerror"


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A record: p=, sp= and np= (None: not there), how strictly DKIM and SPF must align, psd= ("u",
    "y" or "n"), t=y, and where aggregate reports go. `applies` is False where its policy is
    unreadable and it asks for no reports: then nothing is done (RFC 9989 §4.10.1).
    """

    policy: Policy = Policy.NONE
    subdomains: Policy | None = None
    missing: Policy | None = None
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: str = "u"
    testing: bool = False
    reports: tuple[str, ...] = ()
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A record and the domain below whose _dmarc it stands."""

    domain: str
    record: DmarcRecord


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk up from a domain found, nearest first; `failed`: nobody could tell some name."""

    start: str
    found: tuple[Found, ...] = ()
    failed: bool = False

    @property
    def organizational(self) -> str:
        """Return the organisational domain of where the walk began (RFC 9989 §4.10.2)."""
        for each in self.found:
            if each.record.psd == "n":
                return each.domain
            if each.record.psd == "y" and each.domain != self.start:
                below = self.start.removesuffix(f".{each.domain}").rpartition(".")[2]
                return f"{below}.{each.domain}"
        return self.found[-1].domain if self.found else self.start


@dataclass(frozen=True, slots=True)
class Applicable:
    """The policy for an author's domain: the record, where it stands, what it asks for now.

    `policy` has sp=, np= and t=y taken into account.
    """

    record: DmarcRecord
    domain: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class DmarcVerdict:
    """What DMARC says of a message with this author.

    `dkim` are the aligned ones among the domains that signed, `spf` tells whether the reverse-path
    is aligned; `applicable` is None where no policy was found.
    """

    result: DmarcResult
    author: str
    organizational: str = ""
    dkim: tuple[str, ...] = ()
    spf: bool = False
    applicable: Applicable | None = None

    @property
    def policy(self) -> Policy:
        """Return what the domain's owner asks for; none where nobody asks."""
        return self.applicable.policy if self.applicable else Policy.NONE


def parse_dmarc(text: str) -> DmarcRecord | None:
    """Read a record, its strings joined; None where it is none (RFC 9989 §4.7)."""
    if not _VERSION.match(text):
        return None
    try:
        tags = parse_tags(text.encode("utf-8", "replace"))
    except TagError:
        return None
    reports = tuple(
        uri.strip().decode("ascii", "replace")
        for uri in tags.get(b"rua", b"").split(b",")
        if _URI.fullmatch(uri.strip())
    )
    policy, subdomains, missing = (_policy(tags.get(name)) for name in (b"p", b"sp", b"np"))
    readable = b"p" in tags and None not in {
        value for name, value in ((b"p", policy), (b"sp", subdomains), (b"np", missing))
        if name in tags
    }  # fmt: skip
    psd = _letter(tags, b"psd")
    return DmarcRecord(
        policy=policy if readable and policy else Policy.NONE,
        subdomains=subdomains if readable else None,
        missing=missing if readable else None,
        strict_dkim=_letter(tags, b"adkim") == "s",
        strict_spf=_letter(tags, b"aspf") == "s",
        psd=psd if psd in {"y", "n"} else "u",
        testing=_letter(tags, b"t") == "y",
        reports=reports,
        applies=readable or bool(reports),
    )


def walk(domain: str) -> Asking[Walk]:
    """Walk up from a domain and gather the records on the way (RFC 9989 §4.10)."""
    found: list[Found] = []
    failed = False
    for target in _targets(domain):
        answer = yield Question(f"_dmarc.{target}", RecordType.TXT)
        failed = failed or answer.failed
        record = _only(answer.texts)
        if record is not None:
            found.append(Found(target, record))
            if record.psd in {"y", "n"}:
                break
    return Walk(domain, tuple(found), failed)


def find_policy(walked: Walk) -> Asking[Applicable | None]:
    """Return which policy is for the domain that was walked up from; None for none.

    Asks whether that domain exists, where the policy depends on it (np=).
    """
    author = walked.start
    for each in walked.found:
        if each.domain == author:
            if not each.record.applies:
                return None
            return Applicable(each.record, author, _mitigated(each.record.policy, each.record))
    above = [each for each in walked.found if each.domain != author]
    if not above:
        return None
    organizational = walked.organizational
    # The organisational domain's own, else the public suffix's, which ends the walk.
    chosen = next((each for each in above if each.domain == organizational), above[-1])
    record = chosen.record
    if not record.applies:
        return None
    policy = record.subdomains or record.policy
    if record.missing is not None and not (yield from _exists(author)):
        policy = record.missing
    return Applicable(record, chosen.domain, _mitigated(policy, record))


def evaluate(author: str, dkim: Sequence[str], spf: str) -> Asking[DmarcVerdict]:
    """Evaluate DMARC for a message (RFC 9989 §5.3).

    Args:
        author: the domain of From, in lower-case A-labels.
        dkim: the domains (d=) whose signatures hold.
        spf: the domain for which SPF passed, "" for none.

    """
    walked = yield from walk(author)
    applicable = yield from find_policy(walked)
    if applicable is None:
        result = DmarcResult.TEMPORARY if walked.failed else DmarcResult.NONE
        return DmarcVerdict(result, author, walked.organizational)
    aligner = Aligner(walked)
    aligned = []
    for domain in dict.fromkeys(dkim):
        if (yield from aligner.is_aligned(domain, strict=applicable.record.strict_dkim)):
            aligned.append(domain)  # noqa: PERF401 - a comprehension cannot yield
    spf_aligned = bool(spf) and (
        yield from aligner.is_aligned(spf, strict=applicable.record.strict_spf)
    )
    result = DmarcResult.PASS if aligned or spf_aligned else DmarcResult.FAIL
    if result is DmarcResult.FAIL and (walked.failed or aligner.failed):
        result = DmarcResult.TEMPORARY
    return DmarcVerdict(
        result, author, walked.organizational, tuple(aligned), spf_aligned, applicable
    )


class Aligner:
    """Compares domains with the author's (RFC 9989 §4.4), walking up from each once."""

    def __init__(self, author: Walk) -> None:
        """Take the walk from the author's domain."""
        self._author = author
        self._known: dict[str, str] = {author.start: author.organizational}
        #: Nobody could tell some name, so that "not aligned" is uncertain.
        self.failed = False

    def is_aligned(self, domain: str, *, strict: bool) -> Asking[bool]:
        """Tell whether a domain is the author's own or, if not strict, of the same organisation."""
        author = self._author
        if domain == author.start:
            return True
        if strict or not _may_be_kin(domain, author.organizational):
            return False
        if domain not in self._known:
            walked = yield from walk(domain)
            self.failed = self.failed or walked.failed
            self._known[domain] = walked.organizational
        return self._known[domain] == author.organizational


def _may_be_kin(domain: str, organizational: str) -> bool:
    """Tell whether a walk could end there: an organisational domain is the domain or above it."""
    return domain == organizational or domain.endswith(f".{organizational}")


def _targets(domain: str) -> list[str]:
    """Return the names whose records a walk asks for, longest first."""
    labels = domain.split(".")
    above = labels[1:] if len(labels) < MOST_QUESTIONS else labels[-(MOST_QUESTIONS - 1) :]
    return [domain, *(".".join(above[at:]) for at in range(len(above)))]


def _only(texts: Sequence[str]) -> DmarcRecord | None:
    """Return the only DMARC record among a name's texts: several are none."""
    records = [record for record in map(parse_dmarc, texts) if record is not None]
    return records[0] if len(records) == 1 else None


def _exists(domain: str) -> _Steps[bool]:
    """Tell whether a domain has any A, AAAA or MX record; trouble counts as yes."""
    for kind in (RecordType.A, RecordType.MX, RecordType.AAAA):
        answer = yield Question(domain, kind)
        if answer.texts or answer.failed:
            return True
        if not answer.exists:
            return False
    return False


def _mitigated(policy: Policy, record: DmarcRecord) -> Policy:
    """Ask for one step less while the owner is only testing (RFC 9989 §4.7, t=y)."""
    if not record.testing:
        return policy
    return Policy.QUARANTINE if policy is Policy.REJECT else Policy.NONE


def _policy(value: bytes | None) -> Policy | None:
    try:
        return Policy((value or b"").decode("ascii", "replace").lower())
    except ValueError:
        return None


def _letter(tags: dict[bytes, bytes], name: bytes) -> str:
    return tags.get(name, b"").decode("ascii", "replace").lower()
