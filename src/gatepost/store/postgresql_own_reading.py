"""What a job over PostgreSQL reads to change it: it has that for itself until the commit.

A job that reads and then writes takes its subject first: the next statement sees what the last holder
committed, because each statement has a view of its own (READ COMMITTED).
"""

from typing import Final

from gatepost.model.account import Account, Credential
from gatepost.model.domain import Domain
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.domain_look import DomainLook
from gatepost.model.history import History
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.quota import Subject, Tally
from gatepost.store.account_protocols import KeptCredentials
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.kept_keys import KeptKey
from gatepost.store.postgresql_connection import Connection
from gatepost.store.postgresql_pending import PostgresPending
from gatepost.store.postgresql_reading import PostgresReading
from gatepost.store.queue_changes import QueueChanges
from gatepost.store.quota_protocols import QuotaLease
from gatepost.store.suppressions import AccountRule

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))"


class OwnReading(PostgresReading, QueueChanges):
    """What all stores change alike, and readings that take what they are asked about."""

    def __init__(self, connection: Connection, ahead: int, pending: PostgresPending) -> None:
        super().__init__(connection, ahead)
        self._pending: PostgresPending = pending
        self._locked: set[str] = set()

    def _lock(self, subject: str) -> None:
        if subject not in self._locked:
            self._locked.add(subject)
            self._rows(_LOCK, (subject,))

    def account(self, name: AccountName) -> Account | None:
        """Return one account, for this transaction alone."""
        self._lock(f"account/{name}")
        return super().account(name)

    def kept_credentials(self, account: AccountName) -> KeptCredentials:
        """Return an account's credentials, for this transaction alone."""
        self._lock(f"account/{account}")
        return super().kept_credentials(account)

    def certificates(self) -> list[Credential]:
        """Return all client certificates, for this transaction alone."""
        self._lock("certificates")
        return super().certificates()

    def guessed(self, subject: str) -> Guessed | None:
        """Return what one subject did, for this transaction alone: one lock for all subjects, as
        a job asks for several in no order.
        """
        self._lock("guessing")
        return super().guessed(subject)

    def domain(self, name: str) -> Domain | None:
        """Return one sending domain, for this transaction alone."""
        self._lock(f"domain/{name}")
        return super().domain(name)

    def domain_look(self, domain: str) -> DomainLook | None:
        """Return the last look at a domain, for this transaction alone."""
        self._lock(f"domain/{domain}")
        return super().domain_look(domain)

    def domain_claims(self, domain: str | None = None) -> list[DomainClaim]:
        """Return the claims to a domain, for this transaction alone."""
        self._lock(f"domain/{domain}")
        return super().domain_claims(domain)

    def kept_key(self, account: AccountName, key: str) -> KeptKey | None:
        """Return what a key stands for; nobody else learns of it before the commit."""
        self._lock(f"key/{account}/{key}")
        return super().kept_key(account, key)

    def history(self, credential: CredentialId) -> History | None:
        """Return a history, for this transaction alone."""
        self._lock("histories")
        return super().history(credential)

    def held_histories(self, account: AccountName) -> list[History]:
        """Return histories, for this transaction alone."""
        self._lock("histories")
        return super().held_histories(account)

    def account_rule(self, account: AccountName) -> AccountRule:
        """Return an account's rule, for this transaction alone."""
        self._lock(f"account/{account}")
        return super().account_rule(account)

    def tally(self, subject: Subject) -> Tally:
        """Return what a subject has sent, for this transaction alone."""
        self._lock_tally(subject)
        return super().tally(subject)

    def quota_leases(self, subject: Subject) -> list[QuotaLease]:
        """Return what workers hold of a subject's limits, for this transaction alone."""
        self._lock_tally(subject)
        return super().quota_leases(subject)

    def _lock_tally(self, subject: Subject) -> None:
        # By its row, not by number: `spend` takes many at once.
        if f"quota/{subject}" not in self._locked:
            self._locked.add(f"quota/{subject}")
            self._pending.flush()
            self._pending.lock_tallies([subject])
