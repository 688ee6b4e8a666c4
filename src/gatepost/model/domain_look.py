"""What a look at a sending domain's records in the live DNS found, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Standing(StrEnum):
    """How a record stands. Only MISSING and WRONG want a mend; NOTE is good to know."""

    GOOD = "good"
    NOTE = "note"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one record: what is so, and the exact mend ("" for none)."""

    purpose: str
    name: str
    standing: Standing
    what: str
    mend: str = ""

    @property
    def is_serious(self) -> bool:
        """Tell whether the answer to `check` is no."""
        return self.standing in {Standing.MISSING, Standing.WRONG, Standing.UNKNOWN}


class Health(StrEnum):
    """How a domain stands: by the last look that could tell; UNSEEN before the first."""

    UNSEEN = "unseen"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class DomainLook:
    """The last look at a domain. `published` are the selectors whose keys the DNS showed at the
    last look that could tell; `health` has been so since `since`.
    """

    domain: str
    looked_at: datetime
    health: Health
    since: datetime
    findings: tuple[Finding, ...]
    published: frozenset[str]


def looked(
    before: DomainLook | None, domain: str, findings: Sequence[Finding], now: datetime
) -> DomainLook:
    """Return what a new look comes to. A DNS that does not answer changes nothing that was known:
    neither does it make a good domain bad, nor a published key one that is not.
    """
    standings = {finding.standing for finding in findings}
    health = before.health if before else Health.UNSEEN
    if standings & {Standing.MISSING, Standing.WRONG}:
        health = Health.BAD
    elif Standing.UNKNOWN not in standings:
        health = Health.GOOD
    known = before.published if before else frozenset()
    published = set()
    for finding in findings:
        selector, mark, _ = finding.name.partition("._domainkey.")
        was_there = finding.standing is Standing.UNKNOWN and selector in known
        if mark and (finding.standing is Standing.GOOD or was_there):
            published.add(selector)
    since = before.since if before and before.health is health else now
    return DomainLook(domain, now, health, since, tuple(findings), frozenset(published))
