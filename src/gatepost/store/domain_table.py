"""What is asked and changed about sending domains: themselves, looks at them, claims to them."""

from datetime import datetime

from gatepost.model.domain import Domain
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.domain_look import DomainLook
from gatepost.model.ids import AccountName
from gatepost.store.domain_claim_rows import (
    ALL_CLAIMS,
    CLAIMS_TO_ONE,
    PUT_CLAIM,
    claim_of,
    claim_row,
)
from gatepost.store.domain_look_rows import (
    ALL_LOOKS,
    CLAIM_LOOK,
    ONE_LOOK,
    PUT_LOOK,
    look_of,
    look_row,
)
from gatepost.store.domain_rows import (
    ADD_KEY,
    ALL_DOMAINS,
    ALL_KEYS,
    KEYS_OF_ONE,
    ONE_DOMAIN,
    PUT_DOMAIN,
    domain_row,
    domains_of,
    key_of,
    key_row,
)
from gatepost.store.rows import known, microseconds
from gatepost.store.statements import Asks, Changes


class DomainTable(Asks):
    """The reading half."""

    def domains(self) -> list[Domain]:
        """Return all sending domains by name, without keys of which we know nothing."""
        return domains_of(list(self._rows(ALL_DOMAINS)), known(self._rows(ALL_KEYS), key_of))

    def domain(self, name: str) -> Domain | None:
        """Return one sending domain: to be changed, so with all its keys. Raises NewerRowError."""
        rows = list(self._rows(ONE_DOMAIN, (name,)))
        return domains_of(rows, map(key_of, self._rows(KEYS_OF_ONE, (name,))))[0] if rows else None

    def domain_looks(self) -> dict[str, DomainLook]:
        """Return the last look at each domain."""
        return {row[0]: look_of(row) for row in self._rows(ALL_LOOKS)}

    def domain_look(self, domain: str) -> DomainLook | None:
        """Return the last look at one domain."""
        row = self._row(ONE_LOOK, (domain,))
        return None if row is None else look_of(row)

    def domain_claims(self, domain: str | None = None) -> list[DomainClaim]:
        """Return the claims to one domain, or to all."""
        if domain is None:
            return [claim_of(row) for row in self._rows(ALL_CLAIMS)]
        return [claim_of(row) for row in self._rows(CLAIMS_TO_ONE, (domain,))]


class DomainTableChanges(DomainTable, Changes):
    """The changing half."""

    def put_domain(self, domain: Domain) -> None:
        """Insert or replace, with all its keys."""
        self._run(PUT_DOMAIN, domain_row(domain))
        self._run("DELETE FROM dkim_key WHERE domain = ?", (domain.name,))
        for key in domain.keys:
            self._run(ADD_KEY, key_row(domain, key))

    def remove_domain(self, name: str) -> bool:
        """Remove with all that belongs to it."""
        self._run("DELETE FROM domain_look WHERE domain = ?", (name,))
        self._run("DELETE FROM domain_claim WHERE domain = ?", (name,))
        self._run("DELETE FROM dkim_key WHERE domain = ?", (name,))
        return self._change("DELETE FROM domain WHERE name = ?", (name,)) > 0

    def claim_domain_look(self, domain: str, now: datetime, until: datetime) -> bool:
        """Take the claim, unless another's lasts."""
        wanted = (domain, microseconds(until), microseconds(now))
        return self._change(CLAIM_LOOK, wanted) > 0

    def put_domain_look(self, look: DomainLook) -> None:
        """Insert or replace."""
        self._run(PUT_LOOK, look_row(look))

    def put_domain_claim(self, claim: DomainClaim) -> None:
        """Insert or replace."""
        self._run(PUT_CLAIM, claim_row(claim))

    def forget_claims_of(self, account: AccountName) -> None:
        """Remove all claims of an account."""
        self._run("DELETE FROM domain_claim WHERE account = ?", (account,))
