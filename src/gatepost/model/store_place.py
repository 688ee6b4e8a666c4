"""Where the store is, and how long it keeps things: what most commands need of gatepost.toml.

All of the settings are read, checked and explained by `settings_file`, which takes a good part of a
second's tenth. `read_place` reads this little, where it is plain; where anything about it is not, it
says nothing, and the whole is read. So a fault elsewhere in the file (a limit, a route) keeps nobody
from looking at the queue.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from gatepost.model.quantities import parse_duration
from gatepost.model.settings_environment import override

#: Every key at the top of the file; an unknown one may be a store's name with a slip in it.
KEYS: Final = frozenset({
    "hostname", "node", "data_dir", "store", "store_password_file", "workers", "master_key",
    "postmaster", "tls", "listeners", "auth", "limits", "quotas", "breaker", "local_domains",
    "submission", "inbound", "alignment", "routes", "retry", "policy", "domains", "suppression",
    "lanes", "egress",
        "pool_rules", "retention", "dns", "http", "log",
})  # fmt: skip

#: Those that `Kept` has, and the one that the store has no need of.
_RETENTION: Final = frozenset({"content", "captured", "events", "idempotency_keys"})


class Retention(Protocol):
    """For how long things are kept after they are settled."""

    @property
    def content(self) -> timedelta:
        """Content of messages."""

    @property
    def captured(self) -> timedelta:
        """Content of captured ones."""

    @property
    def events(self) -> timedelta:
        """Events, and what finished deliveries were."""


class Place(Protocol):
    """Which store, and where. The settings are one, too."""

    @property
    def store(self) -> str:
        """What keeps it: "sqlite", or the URL of a PostgreSQL database."""

    @property
    def store_password_file(self) -> Path | None:
        """Whence the database's password."""

    @property
    def data_dir(self) -> Path:
        """The state directory."""

    @property
    def retention(self) -> Retention:
        """How long things are kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A retention, by default as the settings have it."""

    content: timedelta = timedelta(0)
    captured: timedelta = timedelta(days=7)
    events: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """An SQLite store's place."""

    data_dir: Path
    retention: Kept
    store: str = "sqlite"
    store_password_file: Path | None = None


def read_place(text: str, directory: Path, environment: Mapping[str, str]) -> SqlitePlace | None:
    """Return where the SQLite store is; None where all settings must be read to know.

    Args:
        text: the file's text.
        directory: its folder; data_dir is relative to it.
        environment: GATEPOST_DATA_DIR and so on override the file.

    """
    try:
        overridden = override(tomllib.loads(text), environment, KEYS)
    except (ValueError, RecursionError):  # no TOML, or none of ours: said by who reads it all
        return None
    values = overridden.values
    if overridden.unknown or not values.keys() <= KEYS:
        return None
    data_dir = values.get("data_dir", "state")
    if values.get("store", "sqlite") != "sqlite" or not isinstance(data_dir, str):
        return None
    if "\0" in data_dir:
        return None
    kept = _kept(values.get("retention", {}))
    return SqlitePlace(directory / data_dir, kept) if kept else None


def _kept(values: Any) -> Kept | None:  # noqa: ANN401 - what the file says
    if not isinstance(values, dict) or not values.keys() <= _RETENTION:
        return None
    try:
        read = {key: parse_duration(value) for key, value in values.items()}
    except ValueError:
        return None
    read.pop("idempotency_keys", None)
    return Kept(**read)
