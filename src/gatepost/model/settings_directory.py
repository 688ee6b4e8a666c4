"""`[[auth.directories]]`: others who know accounts: LDAP, an SQL database, an HTTP service."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gatepost.model import settings_directory_checks as checks
from gatepost.model.lane import Lane
from gatepost.model.section import Duration, LongDuration, Section
from gatepost.model.settings_checks import web_address
from gatepost.model.via import parse_pattern


class DirectorySettings(Section):
    """One directory. Which keys belong to which `kind` is checked; they are asked in the order in
    which they stand, after our own accounts.
    """

    name: Annotated[str, AfterValidator(checks.directory_name)]
    kind: Literal["ldap", "sql", "http"]
    match: tuple[Annotated[str, AfterValidator(parse_pattern)], ...] = Field(("*",), min_length=1)
    remember: Duration = timedelta(minutes=5)
    timeout: LongDuration = timedelta(seconds=5)
    connections: int = Field(default=8, ge=1, le=256)
    lane: Lane | None = None
    hourly: int | None = Field(default=None, ge=1, le=10**9)
    daily: int | None = Field(default=None, ge=1, le=10**9)
    secret_file: Path | None = None
    ca_file: Path | None = None

    # ldap
    servers: Annotated[tuple[str, ...], AfterValidator(checks.ldap_servers)] = ()
    starttls: bool = True
    base: str | None = None
    filter: Annotated[str, AfterValidator(checks.ldap_filter)] | None = None
    user_dn: Annotated[str, AfterValidator(checks.ldap_template)] | None = None
    reader_dn: str | None = None
    sender_attributes: tuple[Annotated[str, AfterValidator(checks.ldap_attribute)], ...] = ("mail",)
    suspended_filter: Annotated[str, AfterValidator(checks.balanced)] | None = None

    # sql
    database: Annotated[str, AfterValidator(checks.database)] | None = None
    query: Annotated[str, AfterValidator(checks.sql_query)] | None = None

    # http
    url: Annotated[str, AfterValidator(web_address)] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        checks.directory(self.kind, {key: getattr(self, key) for key in self.model_fields_set})
        return self

    def below(self, folder: Path) -> Self:
        """Return it with its files' paths relative to a folder."""
        changed: dict[str, object] = {
            key: folder / path
            for key in ("secret_file", "ca_file")
            if (path := getattr(self, key)) is not None
        }
        if self.database is not None and self.database.startswith(checks.SQLITE):
            file = folder / self.database.removeprefix(checks.SQLITE)
            changed["database"] = f"{checks.SQLITE}{file}"
        return self.model_copy(update=changed)
