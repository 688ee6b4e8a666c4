"""`[[egress]]`: the source addresses of this node; `[[pool_rules]]`: what leaves from which of their pools."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gatepost.model import settings_egress_checks as checks
from gatepost.model.domain_name import parse_full_domain
from gatepost.model.pool_name import pool as pool_name
from gatepost.model.pool_rule import PoolRule
from gatepost.model.section import Section
from gatepost.model.source import DEFAULT, Source
from gatepost.model.via import parse_pattern
from gatepost.model.wrong import wrong


class EgressSettings(Section):
    """What this node calls from: an EHLO name with an IPv4 address, an IPv6 address or both."""

    name: Annotated[str, AfterValidator(parse_full_domain)]
    ipv4: Annotated[str, AfterValidator(checks.ipv4)] | None = None
    ipv6: Annotated[str, AfterValidator(checks.ipv6)] | None = None
    pools: tuple[Annotated[str, AfterValidator(pool_name)], ...] = Field((DEFAULT,), min_length=1)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.ipv4 is None and self.ipv6 is None:
            raise wrong("it has no address", "give it ipv4, ipv6 or both", "name")
        return self

    @property
    def source(self) -> Source:
        """Return it as a value."""
        return Source(self.name, self.ipv4, self.ipv6, tuple(dict.fromkeys(self.pools)))


class PoolRuleSettings(Section):
    """Submissions that leave from a pool, whatever their account's. The first rule that fits decides."""

    pool: Annotated[str, AfterValidator(pool_name)]
    accounts: tuple[Annotated[str, AfterValidator(str.casefold)], ...] = ()
    credentials: tuple[Annotated[str, AfterValidator(checks.credential)], ...] = ()
    domains: tuple[Annotated[str, AfterValidator(parse_pattern)], ...] = ()
    streams: tuple[Annotated[str, AfterValidator(checks.stream)], ...] = ()
    elsewhere: bool = False

    @model_validator(mode="after")
    def _fits_something(self) -> Self:
        if not (self.accounts or self.credentials or self.domains or self.streams):
            mend = "give it accounts, credentials, domains or streams"
            raise wrong("it says of no mail that it leaves from there", mend, "pool")
        return self

    @property
    def rule(self) -> PoolRule:
        """Return it as a value."""
        return PoolRule(
            self.pool,
            frozenset(self.accounts),
            frozenset(self.credentials),
            self.domains,
            frozenset(self.streams),
        )
