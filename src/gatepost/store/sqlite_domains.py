"""Rows of sending domains and their DKIM keys, in SQLite's words."""

from typing import Final

import apsw

from gatepost.model.domain import DkimKey, DkimKeyState, Domain
from gatepost.model.secret import Secret
from gatepost.store.sqlite_rows import Row, microseconds, moment, upsert_one
from gatepost.wire.records.dkim_key import KeyType

ALL_DOMAINS: Final = "SELECT name, created_at, unproven FROM domain ORDER BY name"
ONE_DOMAIN: Final = "SELECT name, created_at, unproven FROM domain WHERE name = ?"
_KEY_COLUMNS: Final = (
    "domain, selector, algorithm, private_key, public_key, state, created_at, retired_at"
)
ALL_KEYS: Final = f"SELECT {_KEY_COLUMNS} FROM dkim_key ORDER BY created_at, selector"  # noqa: S608
KEYS_OF_ONE: Final = (
    f"SELECT {_KEY_COLUMNS} FROM dkim_key WHERE domain = ? ORDER BY created_at, selector"  # noqa: S608
)

_PUT: Final = upsert_one("domain", "name, created_at, unproven", "name")
_ADD_KEY: Final = f"INSERT INTO dkim_key ({_KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


def domains_of(domains: list[Row], keys: list[Row]) -> list[Domain]:
    """Return domains with their keys."""
    held: dict[str, list[DkimKey]] = {}
    for domain, selector, algorithm, private_key, public, state, created_at, retired_at in keys:
        key = DkimKey(
            selector=selector,
            algorithm=KeyType(algorithm),
            private_key=Secret(private_key),
            public=public,
            created_at=moment(created_at),
            state=DkimKeyState(state),
            retired_at=None if retired_at is None else moment(retired_at),
        )
        held.setdefault(domain, []).append(key)
    return [
        Domain(name, moment(at), tuple(held.get(name, ())), bool(unproven))
        for name, at, unproven in domains
    ]


def put_domain(connection: apsw.Connection, domain: Domain) -> None:
    """Insert or replace a domain with all its keys."""
    row = (domain.name, microseconds(domain.created_at), int(domain.unproven))
    connection.execute(_PUT, row)
    connection.execute("DELETE FROM dkim_key WHERE domain = ?", (domain.name,))
    connection.executemany(
        _ADD_KEY,
        [
            (
                domain.name,
                key.selector,
                key.algorithm.value,
                key.private_key.reveal(),
                key.public,
                key.state.value,
                microseconds(key.created_at),
                None if key.retired_at is None else microseconds(key.retired_at),
            )
            for key in domain.keys
        ],
    )


def remove_domain(connection: apsw.Connection, name: str) -> bool:
    """Remove a domain with its keys; False when it was not there."""
    connection.execute("DELETE FROM dkim_key WHERE domain = ?", (name,))
    connection.execute("DELETE FROM domain WHERE name = ?", (name,))
    return connection.changes() > 0
