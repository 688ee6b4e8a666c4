"""From which pool of source addresses a submission leaves: the first rule that fits it (ADR 26)."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a submission decides, "" for what it has not. `domain` is that of its first author (From),
    `stream` what its header names, else its account's.
    """

    account: str = ""
    credential: str = ""
    domain: str = ""
    stream: str = ""


@dataclass(frozen=True, slots=True)
class PoolRule:
    """A pool, and for what: all that is given must fit, and something is given. `domains` are
    patterns (`parse_pattern`).
    """

    pool: str
    accounts: frozenset[str] = frozenset()
    credentials: frozenset[str] = frozenset()
    domains: tuple[str, ...] = ()
    streams: frozenset[str] = frozenset()

    def fits(self, traits: Traits) -> bool:
        """Tell whether a submission leaves from this pool."""
        return (
            (not self.accounts or traits.account in self.accounts)
            and (not self.credentials or traits.credential in self.credentials)
            and (not self.streams or traits.stream in self.streams)
            and (not self.domains or any(_is(traits.domain, each) for each in self.domains))
        )


def pool_of(rules: Iterable[PoolRule], traits: Traits) -> str | None:
    """Return the pool of the first rule that fits; None: none does."""
    return next((rule.pool for rule in rules if rule.fits(traits)), None)


def _is(domain: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return domain.endswith(pattern[1:])
    return bool(domain) and pattern in {"*", domain}
