"""Whose consumers a recipient is among (data/mailbox_providers.toml), checked when it is read."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

_KEYS: Final = {"name": str, "domains": list, "bulk": int, "warn": int, "source": str}


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


@cache
def mailbox_providers() -> Mapping[str, MailboxProvider]:
    """Return the providers by their domains, in lower-case A-labels."""
    octets = files("gatepost").joinpath("data", "mailbox_providers.toml").read_bytes()
    return parse_mailbox_providers(octets.decode("utf-8"))


def parse_mailbox_providers(text: str) -> Mapping[str, MailboxProvider]:
    """Read the data.

    Raises:
        MailboxProvidersError: it has faults.

    """
    try:
        rows = tomllib.loads(text).get("providers", [])
    except tomllib.TOMLDecodeError as error:
        raise MailboxProvidersError(f"no TOML: {error}") from None
    found: dict[str, MailboxProvider] = {}
    faults: list[str] = []
    for number, row in enumerate(rows, 1):
        where = f"providers {number}"
        if problems := _problems(row):
            faults += [f"{where}: {problem}" for problem in problems]
            continue
        provider = MailboxProvider(row["name"], row["bulk"], row["warn"])
        for domain in row["domains"]:
            if domain in found:
                faults.append(f"{where}: {domain} is {found[domain].name}'s already")
            found[domain] = provider
    if faults or not rows:
        raise MailboxProvidersError("\n".join(faults) or "there is no provider")
    return found


def _problems(row: Mapping[str, Any]) -> list[str]:
    problems = [f"unknown key {key}" for key in row if key not in _KEYS]
    problems += [
        f"{key} must be there, a {kind.__name__}"
        for key, kind in _KEYS.items()
        if not isinstance(row.get(key), kind)
    ]
    if problems:
        return problems
    for domain in row["domains"]:
        if not isinstance(domain, str) or domain != domain.lower() or "." not in domain:
            problems.append(f"{domain!r} is no domain in lower case")
    if not 0 < row["warn"] <= row["bulk"]:
        problems.append("warn must be above 0, and not above bulk")
    if not row["domains"]:
        problems.append("domains names none")
    return problems
