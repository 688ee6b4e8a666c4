"""Rows of claims to sending domains, in SQLite's words."""

from typing import Final

import apsw

from gatepost.model.domain_claim import DomainClaim
from gatepost.model.ids import AccountName
from gatepost.store.sqlite_rows import Row, microseconds, moment, upsert_one

CLAIMS: Final = (
    "SELECT domain, account, token, created_at, proven_at FROM domain_claim"
    " WHERE ?1 IS NULL OR domain = ?1 ORDER BY domain, account"
)

_PUT: Final = upsert_one(
    "domain_claim", "domain, account, token, created_at, proven_at", "domain, account"
)


def claim_of(row: Row) -> DomainClaim:
    """Return what a row says."""
    domain, account, token, created_at, proven_at = row
    proven = None if proven_at is None else moment(proven_at)
    return DomainClaim(domain, AccountName(account), token, moment(created_at), proven)


def put_claim(connection: apsw.Connection, claim: DomainClaim) -> None:
    """Insert or replace."""
    proven_at = None if claim.proven_at is None else microseconds(claim.proven_at)
    connection.execute(
        _PUT,
        (claim.domain, claim.account, claim.token, microseconds(claim.created_at), proven_at),
    )


def forget_claims_to(connection: apsw.Connection, domain: str) -> None:
    """Remove all claims to a domain."""
    connection.execute("DELETE FROM domain_claim WHERE domain = ?", (domain,))


def forget_claims_of(connection: apsw.Connection, account: AccountName) -> None:
    """Remove all claims of an account."""
    connection.execute("DELETE FROM domain_claim WHERE account = ?", (account,))
