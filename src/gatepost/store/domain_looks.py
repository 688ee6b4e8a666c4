"""What every store promises about looks at the records of sending domains."""

from datetime import datetime
from typing import Protocol

from gatepost.model.domain_look import DomainLook


class ReadsDomainLooks(Protocol):
    """The reading half."""

    def domain_looks(self) -> dict[str, DomainLook]:
        """Return the last look at each domain that was looked at, by name."""
        ...

    def domain_look(self, domain: str) -> DomainLook | None:
        """Return the last look at one domain."""
        ...


class WritesDomainLooks(Protocol):
    """The changing half."""

    def claim_domain_look(self, domain: str, now: datetime, until: datetime) -> bool:
        """Let one worker look: False while another's claim lasts."""
        ...

    def put_domain_look(self, look: DomainLook) -> None:
        """Insert or replace, and end the claim. Removing a domain removes its look."""
        ...
