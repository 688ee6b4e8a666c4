"""Rows of claims to sending domains, in tables."""

from typing import Final

from gatepost.model.domain_claim import DomainClaim
from gatepost.model.ids import AccountName
from gatepost.store.rows import Row, microseconds, moment
from gatepost.store.statements import upsert_one

_COLUMNS: Final = "domain, account, token, created_at, proven_at, missing_since"
ALL_CLAIMS: Final = f"SELECT {_COLUMNS} FROM domain_claim ORDER BY domain, account"  # noqa: S608
CLAIMS_TO_ONE: Final = f"SELECT {_COLUMNS} FROM domain_claim WHERE domain = ? ORDER BY account"  # noqa: S608
PUT_CLAIM: Final = upsert_one("domain_claim", _COLUMNS, "domain, account")


def claim_of(row: Row) -> DomainClaim:
    """Return what a row says."""
    domain, account, token, created_at, proven_at, missing_since = row
    return DomainClaim(
        domain,
        AccountName(account),
        token,
        moment(created_at),
        None if proven_at is None else moment(proven_at),
        None if missing_since is None else moment(missing_since),
    )


def claim_row(claim: DomainClaim) -> Row:
    """Return the values of PUT_CLAIM."""
    return (
        claim.domain,
        claim.account,
        claim.token,
        microseconds(claim.created_at),
        None if claim.proven_at is None else microseconds(claim.proven_at),
        None if claim.missing_since is None else microseconds(claim.missing_since),
    )
