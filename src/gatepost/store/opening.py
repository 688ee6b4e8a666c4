"""Opens the store that the settings name. What a kind of store needs is imported with it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gatepost.model.ids import WorkerId
from gatepost.model.secret import Secret
from gatepost.store.protocols import Store, StoreUnavailableError

if TYPE_CHECKING:
    from gatepost.model.store_place import Place
    from gatepost.store.postgresql_connection import Address

#: What is read of a file with a password.
_MOST: Final = 1024


def _machine_time() -> datetime:
    return datetime.now(UTC)


async def open_store(
    settings: "Place",
    worker: WorkerId,
    *,
    clock: Callable[[], datetime] = _machine_time,
    is_there: bool = False,
) -> Store:
    """Open the store for a worker. Call it after the fork. `clock` is the one by which its jobs are
    given their times; a store that no other node shares goes by it. One that `is_there` already is not
    made anew where its directory has gone.

    Raises:
        NewerDatabaseError: a newer Gatepost wrote it; nothing was touched.
        StoreUnavailableError: it cannot be used; says why, never a password.

    """
    if settings.store == "sqlite":
        from gatepost.store.sqlite import open_sqlite  # noqa: PLC0415 - decision 32

        return await open_sqlite(
            settings.data_dir, worker, settings.retention, clock=clock, is_there=is_there
        )
    address = address_of(settings)
    from gatepost.store.postgresql import open_postgresql  # noqa: PLC0415 - an extra

    return await open_postgresql(address, worker, settings.retention, wall=clock)


def address_of(settings: "Place") -> "Address":
    """Return where PostgreSQL is, and with which password.

    Raises:
        StoreUnavailableError: psycopg is not installed, or the password cannot be read.

    """
    try:
        from gatepost.store.postgresql_connection import Address  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"PostgreSQL needs the extra \"postgres\" (pip install 'gatepost[postgres]'): {error}"
        raise StoreUnavailableError(msg, mend="install it") from error
    from gatepost.store.postgresql_lineage import SEEN, Lineage  # noqa: PLC0415 - an extra

    lineage = Lineage(settings.data_dir / SEEN, where(settings))
    path = settings.store_password_file
    if path is None:
        return Address(settings.store, lineage=lineage)
    try:
        password = path.read_text("utf-8")[:_MOST].strip()
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is not UTF-8 text"
        msg = f"store_password_file {path}: {words.lower()}"
        raise StoreUnavailableError(msg, mend="let the user that serves read it") from error
    return Address(settings.store, Secret(password), lineage)


def where(settings: "Place") -> str:
    """Return where the store is, as an operator may be told: without a password."""
    if settings.store == "sqlite":
        return str(settings.data_dir)
    from urllib.parse import urlsplit  # noqa: PLC0415 - decision 32

    parts = urlsplit(settings.store)
    return f"{parts.netloc.rpartition('@')[2] or 'local socket'}{parts.path}"
