"""A process is stopped, for ever, in the midst of a transaction over PostgreSQL: its neighbours go on."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from gatepost.model.ids import WorkerId
from gatepost.store import postgresql_connection, postgresql_still
from gatepost.store.postgresql import PostgresStore, open_postgresql
from gatepost.store.postgresql_connection import Connection
from gatepost.store.protocols import StoreUnavailableError
from tests.store.openers import address_of
from tests.support.node import wait_until
from tests.support.postgresql import shared_server

ROOT = Path(__file__).parents[2]
VICTIM = "stopped/1/0"
_STATE = (
    "SELECT state, wait_event FROM pg_stat_activity WHERE application_name = 'gatepost'"
    " AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND datname = '{}'"
)

Stop = Callable[[str], None]


@pytest.fixture
def database(tmp_path: Path) -> str:
    return address_of(tmp_path).url.rpartition("/")[2]


@pytest.fixture
def stop(tmp_path: Path) -> Iterator[Stop]:
    """Start a process that stops itself in the midst of a transaction, and wait until it has."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str) -> None:
        words = [
            sys.executable,
            "-m",
            "tests.store.a_stopped_worker",
            address_of(tmp_path).url,
            how,
        ]
        started.append(
            subprocess.Popen(
                words,
                cwd=ROOT,
                env={"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "stops\n"

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresStore]:
    """A neighbour that waits less long for locks, and for whom nobody may stand still for long."""
    bounds = postgresql_connection._BOUNDS.replace(b"'3s'", b"'1s'")
    assert bounds != postgresql_connection._BOUNDS
    monkeypatch.setattr(postgresql_connection, "_BOUNDS", bounds)
    monkeypatch.setattr(postgresql_still, "STILL", 500)
    made = await open_postgresql(address_of(tmp_path), WorkerId("node/1/0"))
    yield made
    await made.close()


async def get_through(store: PostgresStore) -> None:
    """Change a row that the stopped one has changed; it may take more than one try."""
    for _ in range(20):
        try:
            await store.write(lambda transaction: transaction.leave(VICTIM))
        except StoreUnavailableError:
            continue
        return
    raise AssertionError("who was stopped is waited for, without end")


async def test_the_server_itself_sees_that_who_was_stopped_behind_a_question_is_idle(
    stop: Stop, database: str
) -> None:
    stop("asked")
    idle = [("idle in transaction", "ClientRead")]
    wait_until(lambda: shared_server().execute(_STATE.format(database)) == idle, "an idle session")


@pytest.mark.parametrize("how", ["asked", "telling", "told"])
async def test_nobody_waits_for_ever_for_who_was_stopped(
    store: PostgresStore, stop: Stop, database: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop(how)
    waits = "ClientWrite" if how == "told" else "ClientRead"
    wait_until(
        lambda: [row[1] for row in shared_server().execute(_STATE.format(database))] == [waits],
        "a session that waits for its process",
    )
    await get_through(store)
    assert "stood still in the midst of a transaction" in caplog.text


def wait_a_while(database: str) -> None:
    """Wait until whoever is in a transaction has asked nothing for a second."""
    ago = " AND query_start < clock_timestamp() - interval '1 s'"
    wait_until(
        lambda: bool(shared_server().execute(_STATE.format(database) + ago)),
        "a question that was long ago",
    )


@pytest.fixture
async def reader(tmp_path: Path, database: str) -> AsyncIterator[Connection]:
    """A connection of a neighbour that asked something in a transaction, a while ago."""
    reader = await open_postgresql(address_of(tmp_path), WorkerId("reader/1/0"))
    connection = reader._reading()
    connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute(b"SELECT count(*) FROM presence")
    wait_a_while(database)
    yield connection
    await reader.close()


async def test_who_only_reads_keeps_nobody_waiting_and_goes_on(
    store: PostgresStore, reader: Connection
) -> None:
    assert not await store.inspect(lambda reading: postgresql_still.end_still(reading._connection))
    reader.execute(b"SELECT count(*) FROM presence")


async def test_who_reads_without_end_is_ended_by_who_keeps_house(
    store: PostgresStore,
    reader: Connection,
    tmp_path: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with psycopg.connect(address_of(tmp_path).url, application_name="pg_dump") as dump:
        dump.execute("SELECT count(*) FROM presence")
        await store.tidy(datetime.now(UTC))
        reader.execute(b"SELECT count(*) FROM presence")
        monkeypatch.setattr(postgresql_still, "FORGOTTEN", 500)
        wait_a_while(database)
        await store.tidy(datetime.now(UTC))
        dump.execute("SELECT count(*) FROM presence")
    with pytest.raises(psycopg.OperationalError):
        reader.execute(b"SELECT count(*) FROM presence")
