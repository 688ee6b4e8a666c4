"""What DMARC will see in a message that has not left yet, and what to publish where that is not
enough (RFC 9989 §4.4).

Alignment is a matter of names. Whether signatures hold and SPF passes shows only at the receiver;
but SPF can pass only where the return path's domain publishes a record at all.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gatepost.wire.records.dmarc import Aligner, Applicable, Policy, find_policy, walk
from gatepost.wire.records.question import Answer, Asking, Question, RecordType
from gatepost.wire.records.spf import spf_texts
from gatepost.wire.values import value


class Alignment(StrEnum):
    """What a message comes to; unknown: the DNS did not say."""

    ALIGNED = "aligned"
    UNALIGNED = "unaligned"
    UNKNOWN = "unknown"


@value(frozen=True, slots=True)
class Departure:
    """What a message will show: its author's domain, the domains (d=) that sign it, and the domain
    of its return path; all in lower-case A-labels.
    """

    author: str
    dkim: tuple[str, ...]
    return_path: str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What DMARC will see: by which domains the message is aligned, and what would mend it.

    `organizational` is the author's; `applicable` is None where nobody published a policy for it.
    `mend` is one line for whoever owns the domain, "" where nothing is amiss.
    """

    alignment: Alignment
    departure: Departure
    organizational: str = ""
    dkim: tuple[str, ...] = ()
    spf: bool = False
    applicable: Applicable | None = None
    mend: str = ""

    @property
    def words(self) -> str:
        """Return the verdict in one line, for events."""
        seen = self.departure
        policy = self.applicable.policy if self.applicable else None
        asked = f"policy {policy.value}" if policy else "no policy published"
        if self.alignment is Alignment.UNKNOWN:
            return "unknown: the DNS does not say"
        if self.alignment is Alignment.UNALIGNED:
            signed = ", ".join(seen.dkim) or "nobody"
            return f"unaligned: signed by {signed}, returns to {seen.return_path}; {asked}"
        by = [f"DKIM {', '.join(self.dkim)}"] if self.dkim else []
        by += [f"SPF {seen.return_path}"] if self.spf else []
        return f"aligned by {' and '.join(by)}; {asked}"


def foresee(departure: Departure) -> Asking[Foreseen]:
    """Say what DMARC will see. Without a published policy relaxed alignment is looked at."""
    walked = yield from walk(departure.author)
    applicable = yield from find_policy(walked)
    aligner = Aligner(walked)
    strict_dkim = applicable is not None and applicable.record.strict_dkim
    dkim = yield from _aligned(aligner, departure.dkim, strict=strict_dkim)
    strict_spf = applicable is not None and applicable.record.strict_spf
    returns = yield from _aligned(aligner, (departure.return_path,), strict=strict_spf)
    failed = walked.failed or aligner.failed
    published = False
    if returns:
        answer = yield Question(departure.return_path, RecordType.TXT)
        failed = failed or answer.failed
        published = len(spf_texts(answer.texts)) == 1
    if dkim or published:
        alignment = Alignment.ALIGNED
    else:
        alignment = Alignment.UNKNOWN if failed else Alignment.UNALIGNED
    mend = "" if dkim else _mend(departure, applicable)
    return Foreseen(
        alignment, departure, walked.organizational, dkim, published, applicable,
        mend if alignment is Alignment.UNALIGNED else "",
    )  # fmt: skip


def _aligned(
    aligner: Aligner, domains: Sequence[str], *, strict: bool
) -> Generator[Question, Answer, tuple[str, ...]]:
    found = []
    for domain in dict.fromkeys(domains):
        if domain and (yield from aligner.is_aligned(domain, strict=strict)):
            found.append(domain)  # noqa: PERF401 - a comprehension cannot yield
    return tuple(found)


def _mend(departure: Departure, applicable: Applicable | None) -> str:
    """Say what to publish so that a signature is aligned."""
    author = departure.author
    above = [domain for domain in departure.dkim if author.endswith(f".{domain}")]
    if above and applicable is None:
        return f'publish _dmarc.{above[0]} TXT "v=DMARC1; p={Policy.NONE.value}"'
    if above and applicable is not None and applicable.record.strict_dkim:
        return (
            f"_dmarc.{applicable.domain} says adkim=s: add {author} as a sending domain and publish"
            f" its key at SELECTOR._domainkey.{author}, or publish adkim=r"
        )
    return f"add {author} as a sending domain and publish its key at SELECTOR._domainkey.{author}"
