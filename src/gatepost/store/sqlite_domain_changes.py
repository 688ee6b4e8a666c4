"""What is asked and changed about sending domains: themselves, looks at them, claims to them."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import apsw

from gatepost.model.domain import Domain
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.domain_look import DomainLook
from gatepost.store.sqlite_domain_claims import CLAIMS, claim_of, forget_claims_to, put_claim
from gatepost.store.sqlite_domain_looks import (
    ALL_LOOKS,
    ONE_LOOK,
    claim_look,
    forget_look,
    look_of,
    put_look,
)
from gatepost.store.sqlite_domains import (
    ALL_DOMAINS,
    ALL_KEYS,
    KEYS_OF_ONE,
    ONE_DOMAIN,
    domains_of,
    put_domain,
    remove_domain,
)
from gatepost.store.sqlite_rows import Row


class SqliteDomainReading:
    """The reading half; what it is mixed into has the connection."""

    def _rows(self, sql: str, bindings: Iterable[Any] = ()) -> Iterator[Row]:
        raise NotImplementedError

    def domains(self) -> list[Domain]:
        """Return all sending domains by name."""
        return domains_of(list(self._rows(ALL_DOMAINS)), list(self._rows(ALL_KEYS)))

    def domain(self, name: str) -> Domain | None:
        """Return one sending domain."""
        rows = list(self._rows(ONE_DOMAIN, (name,)))
        return domains_of(rows, list(self._rows(KEYS_OF_ONE, (name,))))[0] if rows else None

    def domain_looks(self) -> dict[str, DomainLook]:
        """Return the last look at each domain."""
        return {row[0]: look_of(row) for row in self._rows(ALL_LOOKS)}

    def domain_look(self, domain: str) -> DomainLook | None:
        """Return the last look at one domain."""
        row = next(self._rows(ONE_LOOK, (domain,)), None)
        return None if row is None else look_of(row)

    def domain_claims(self, domain: str | None = None) -> list[DomainClaim]:
        """Return the claims to one domain, or to all."""
        return [claim_of(row) for row in self._rows(CLAIMS, (domain,))]


class SqliteDomainChanges(SqliteDomainReading):
    """The changing half."""

    _connection: apsw.Connection

    def put_domain(self, domain: Domain) -> None:
        """Insert or replace, with all its keys."""
        put_domain(self._connection, domain)

    def remove_domain(self, name: str) -> bool:
        """Remove with all that belongs to it."""
        forget_look(self._connection, name)
        forget_claims_to(self._connection, name)
        return remove_domain(self._connection, name)

    def claim_domain_look(self, domain: str, now: datetime, until: datetime) -> bool:
        """Let one worker look."""
        return claim_look(self._connection, domain, now, until)

    def put_domain_look(self, look: DomainLook) -> None:
        """Insert or replace."""
        put_look(self._connection, look)

    def put_domain_claim(self, claim: DomainClaim) -> None:
        """Insert or replace."""
        put_claim(self._connection, claim)
