"""Rows of looks at sending domains, in tables. A claim may come before the first look."""

import json
from typing import Final

from gatepost.model.domain_look import DomainLook, Finding, Health, Standing
from gatepost.store.rows import Row, as_json, microseconds, moment
from gatepost.store.statements import upsert_one

ALL_LOOKS: Final = (
    "SELECT domain, looked_at, health, since, findings, published FROM domain_look"
    " WHERE looked_at IS NOT NULL ORDER BY domain"
)
ONE_LOOK: Final = ALL_LOOKS.replace(" ORDER BY domain", " AND domain = ?")

PUT_LOOK: Final = upsert_one(
    "domain_look",
    "domain, claimed_until, looked_at, health, since, findings, published",
    "domain",
)
#: Bound to the domain, the end of the claim, and now.
CLAIM_LOOK: Final = (
    "INSERT INTO domain_look (domain, claimed_until) VALUES (?, ?)"
    " ON CONFLICT (domain) DO UPDATE SET claimed_until = excluded.claimed_until"
    " WHERE domain_look.claimed_until <= ?"
)


def look_of(row: Row) -> DomainLook:
    """Return what a row says."""
    domain, looked_at, health, since, findings, published = row
    return DomainLook(
        domain,
        moment(looked_at),
        Health(health),
        moment(since),
        tuple(
            Finding(purpose, name, Standing(standing), what, mend)
            for purpose, name, standing, what, mend in json.loads(findings)
        ),
        frozenset(json.loads(published)),
    )


def look_row(look: DomainLook) -> Row:
    """Return the values of PUT_LOOK."""
    findings = [(f.purpose, f.name, f.standing.value, f.what, f.mend) for f in look.findings]
    return (
        look.domain,
        0,
        microseconds(look.looked_at),
        look.health.value,
        microseconds(look.since),
        as_json(findings),
        as_json(sorted(look.published)),
    )
