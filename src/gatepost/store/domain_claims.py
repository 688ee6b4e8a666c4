"""What every store promises about accounts' claims to sending domains."""

from typing import Protocol

from gatepost.model.domain_claim import DomainClaim


class ReadsDomainClaims(Protocol):
    """The reading half."""

    def domain_claims(self, domain: str | None = None) -> list[DomainClaim]:
        """Return the claims to one domain, or to all, by domain and account."""
        ...


class WritesDomainClaims(Protocol):
    """The changing half."""

    def put_domain_claim(self, claim: DomainClaim) -> None:
        """Insert or replace. Removing the domain or the account removes its claims."""
        ...
