"""Whose mailbox a recipient has (data/mailbox_providers.toml): by domain, or by the MX of one that is
hosted. Checked when it is read.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

_KEYS: Final = {
    "name": str, "domains": list, "exchangers": list, "bulk": int, "warn": int, "source": str,
}  # fmt: skip


class MailboxProvidersError(ValueError):
    """The data cannot be used; names every fault, one on a line."""


@dataclass(frozen=True, slots=True)
class MailboxProvider:
    """A provider: from `bulk` messages a day on it calls a sender a bulk sender, and we warn at
    `warn`.
    """

    name: str
    bulk: int
    warn: int


@dataclass(frozen=True, slots=True)
class MailboxProviders:
    """The providers: by their own domains, and by the domains that their exchangers are in; all in
    lower-case A-labels.
    """

    by_domain: Mapping[str, MailboxProvider]
    by_exchanger: Mapping[str, MailboxProvider]

    @property
    def by_name(self) -> Mapping[str, MailboxProvider]:
        """Return the providers by their names."""
        every = (*self.by_domain.values(), *self.by_exchanger.values())
        return {provider.name: provider for provider in every}

    def behind(self, host: str) -> MailboxProvider | None:
        """Return who runs this mail exchanger; None: none of the providers."""
        name = host.lower().rstrip(".")
        while name:
            if provider := self.by_exchanger.get(name):
                return provider
            name = name.partition(".")[2]
        return None


@cache
def mailbox_providers() -> MailboxProviders:
    """Return the providers that we know."""
    octets = files("gatepost").joinpath("data", "mailbox_providers.toml").read_bytes()
    return parse_mailbox_providers(octets.decode("utf-8"))


def parse_mailbox_providers(text: str) -> MailboxProviders:
    """Read the data.

    Raises:
        MailboxProvidersError: it has faults.

    """
    try:
        rows = tomllib.loads(text).get("providers", [])
    except tomllib.TOMLDecodeError as error:
        raise MailboxProvidersError(f"no TOML: {error}") from None
    found = MailboxProviders({}, {})
    faults: list[str] = []
    for number, row in enumerate(rows, 1):
        where = f"providers {number}"
        if problems := _problems(row):
            faults += [f"{where}: {problem}" for problem in problems]
            continue
        domains, exchangers, twice = _named_by(row, found)
        faults += [f"{where}: {one}" for one in twice]
        found = MailboxProviders(
            {**found.by_domain, **domains}, {**found.by_exchanger, **exchangers}
        )
    if faults or not rows:
        raise MailboxProvidersError("\n".join(faults) or "there is no provider")
    return found


_Named = dict[str, MailboxProvider]


def _named_by(row: Mapping[str, Any], known: MailboxProviders) -> tuple[_Named, _Named, list[str]]:
    """Return what a row says of domains and of exchangers, and what others say already."""
    provider = MailboxProvider(row["name"], row["bulk"], row["warn"])
    twice = [
        f"{name} is {before[name].name}'s already"
        for key, before in (("domains", known.by_domain), ("exchangers", known.by_exchanger))
        for name in row[key]
        if name in before
    ]
    return (
        dict.fromkeys(row["domains"], provider),
        dict.fromkeys(row["exchangers"], provider),
        twice,
    )


def _problems(row: Mapping[str, Any]) -> list[str]:
    problems = [f"unknown key {key}" for key in row if key not in _KEYS]
    problems += [
        f"{key} must be there, a {kind.__name__}"
        for key, kind in _KEYS.items()
        if not isinstance(row.get(key), kind)
    ]
    if problems:
        return problems
    for domain in (*row["domains"], *row["exchangers"]):
        if not isinstance(domain, str) or domain != domain.lower() or "." not in domain:
            problems.append(f"{domain!r} is no domain in lower case")
    if not 0 < row["warn"] <= row["bulk"]:
        problems.append("warn must be above 0, and not above bulk")
    if not row["domains"] and not row["exchangers"]:
        problems.append("it names neither domains nor exchangers")
    return problems
