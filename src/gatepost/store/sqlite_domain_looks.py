"""Rows of looks at sending domains, in SQLite's words. A claim may come before the first look."""

import json
from datetime import datetime
from typing import Final

import apsw

from gatepost.model.domain_look import DomainLook, Finding, Health, Standing
from gatepost.store.sqlite_rows import Row, microseconds, moment, upsert_one

ALL_LOOKS: Final = (
    "SELECT domain, looked_at, health, since, findings, published FROM domain_look"
    " WHERE looked_at IS NOT NULL ORDER BY domain"
)
ONE_LOOK: Final = ALL_LOOKS.replace(" ORDER BY domain", " AND domain = ?")

_PUT: Final = upsert_one(
    "domain_look",
    "domain, claimed_until, looked_at, health, since, findings, published",
    "domain",
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


def claim_look(connection: apsw.Connection, domain: str, now: datetime, until: datetime) -> bool:
    """Take the claim, unless another's lasts."""
    connection.execute(
        "INSERT INTO domain_look (domain, claimed_until) VALUES (?, ?)"
        " ON CONFLICT (domain) DO UPDATE SET claimed_until = excluded.claimed_until"
        " WHERE claimed_until <= ?",
        (domain, microseconds(until), microseconds(now)),
    )
    return connection.changes() > 0


def put_look(connection: apsw.Connection, look: DomainLook) -> None:
    """Insert or replace."""
    findings = [(f.purpose, f.name, f.standing.value, f.what, f.mend) for f in look.findings]
    connection.execute(
        _PUT,
        (
            look.domain,
            0,
            microseconds(look.looked_at),
            look.health.value,
            microseconds(look.since),
            json.dumps(findings, separators=(",", ":")),
            json.dumps(sorted(look.published)),
        ),
    )


def forget_look(connection: apsw.Connection, domain: str) -> None:
    """Remove what was seen of a domain."""
    connection.execute("DELETE FROM domain_look WHERE domain = ?", (domain,))
