"""What every store promises about sending domains and their keys."""

from typing import Protocol

from gatepost.model.domain import Domain


class ReadsDomains(Protocol):
    """The reading half."""

    def domains(self) -> list[Domain]:
        """Return all sending domains by name, with their keys, oldest first."""
        ...

    def domain(self, name: str) -> Domain | None:
        """Return one sending domain with its keys."""
        ...


class ChangesDomains(Protocol):
    """The changing half."""

    def put_domain(self, domain: Domain) -> None:
        """Insert or replace; its keys become these."""
        ...

    def remove_domain(self, name: str) -> bool:
        """Remove with all its keys; False when it was not there."""
        ...
