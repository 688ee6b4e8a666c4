"""Every kind of store, opened for a test by the directory that is the test's own."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from gatepost.model.ids import WorkerId
from gatepost.store.postgresql import open_postgresql, prepare
from gatepost.store.postgresql_connection import Address
from gatepost.store.protocols import Store
from gatepost.store.sqlite import open_sqlite
from tests.store.a_newer_program import make_newer
from tests.store.makers import NOON
from tests.support.postgresql import database_of

Opener = Callable[[Path], Awaitable[Store]]


async def sqlite(directory: Path) -> Store:
    return await open_sqlite(directory, WorkerId("node/1/0"), clock=lambda: NOON)


async def sqlite_of_a_newer_program(directory: Path) -> Store:
    """As a rolling restart has it: a newer program has added to every table meanwhile."""
    await (await sqlite(directory)).close()
    make_newer(directory)
    return await sqlite(directory)


def address_of(directory: Path) -> Address:
    """Return where the database of a test's directory is, with our tables."""
    return Address(database_of(directory, lambda url: prepare(Address(url))))


async def postgresql(directory: Path) -> Store:
    return await open_postgresql(address_of(directory), WorkerId("node/1/0"), clock=lambda: NOON)


OPENERS: list[Opener] = [sqlite, sqlite_of_a_newer_program, postgresql]
