"""Rows of sending domains and their DKIM keys, in tables."""

from collections.abc import Iterable
from typing import Final

from gatepost.model.domain import DkimKey, DkimKeyState, Domain
from gatepost.model.secret import Secret
from gatepost.store.rows import NewerRowError, Row, microseconds, moment
from gatepost.store.statements import upsert_one
from gatepost.wire.records.dkim_key import KeyType

ALL_DOMAINS: Final = "SELECT name, created_at, unproven, unpublished FROM domain ORDER BY name"
ONE_DOMAIN: Final = "SELECT name, created_at, unproven, unpublished FROM domain WHERE name = ?"
_KEY_COLUMNS: Final = (
    "domain, selector, algorithm, private_key, public_key, state, created_at, retired_at"
)
ALL_KEYS: Final = f"SELECT {_KEY_COLUMNS} FROM dkim_key ORDER BY created_at, selector"  # noqa: S608
KEYS_OF_ONE: Final = (
    f"SELECT {_KEY_COLUMNS} FROM dkim_key WHERE domain = ? ORDER BY created_at, selector"  # noqa: S608
)

PUT_DOMAIN: Final = upsert_one("domain", "name, created_at, unproven, unpublished", "name")
ADD_KEY: Final = f"INSERT INTO dkim_key ({_KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


def domains_of(domains: list[Row], keys: Iterable[tuple[str, DkimKey]]) -> list[Domain]:
    """Return domains with their keys, each key beside its domain's name."""
    held: dict[str, list[DkimKey]] = {}
    for domain, key in keys:
        held.setdefault(domain, []).append(key)
    return [
        Domain(name, moment(at), tuple(held.get(name, ())), bool(unproven), unpublished)
        for name, at, unproven, unpublished in domains
    ]


def key_of(row: Row) -> tuple[str, DkimKey]:
    """Return a domain's name and a key of it. Raises NewerRowError."""
    domain, selector, algorithm, private_key, public, state, created_at, retired_at = row
    try:
        key = DkimKey(
            selector=selector,
            algorithm=KeyType(algorithm),
            private_key=Secret(private_key),
            public=public,
            created_at=moment(created_at),
            state=DkimKeyState(state),
            retired_at=None if retired_at is None else moment(retired_at),
        )
    except ValueError as unknown:
        msg = f"only a newer Gatepost knows the key {selector} ({unknown})"
        raise NewerRowError(msg) from unknown
    return domain, key


def domain_row(domain: Domain) -> Row:
    """Return the values of PUT_DOMAIN."""
    return (domain.name, microseconds(domain.created_at), int(domain.unproven), domain.unpublished)


def key_row(domain: Domain, key: DkimKey) -> Row:
    """Return the values of ADD_KEY."""
    return (
        domain.name,
        key.selector,
        key.algorithm.value,
        key.private_key.reveal(),
        key.public,
        key.state.value,
        microseconds(key.created_at),
        None if key.retired_at is None else microseconds(key.retired_at),
    )
