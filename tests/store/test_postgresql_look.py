"""A look at a real PostgreSQL: frozen, copied by a standby, as a role that may see little."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from gatepost.store import postgresql_look
from gatepost.store.postgresql_connection import Address, connect
from gatepost.store.postgresql_look import Copies, look
from gatepost.store.postgresql_watch import Watch
from gatepost.store.protocols import StoreAwayError
from tests.support.node import wait_until
from tests.support.postgresql import HASTY, PostgresServer

PATIENCE = 60


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer(HASTY)
    made.start()
    made.execute("CREATE ROLE ordinary LOGIN")
    yield made
    made.remove()


@contextmanager
def follower(server: PostgresServer) -> Iterator[None]:
    """Copy the server's WAL, as a standby does."""
    directory = server.directory / "copied"
    directory.mkdir(exist_ok=True)
    server.own()
    process = subprocess.Popen(
        [
            str(server.client_programs / "pg_receivewal"),
            "-n",
            "-D",
            str(directory),
            "-d",
            server.url(),
        ],
        user=server.user,
    )
    try:
        streams = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(lambda: bool(server.execute(streams)), "a follower")
        yield
    finally:
        process.kill()
        process.wait(PATIENCE)
        wait_until(lambda: not server.execute("SELECT 1 FROM pg_stat_replication"), "its end")


def copies(server: PostgresServer, user: str) -> Copies:
    return look(Address(server.url(user=user)), "SELECT 1").copies


@pytest.mark.parametrize("user", ["postgres", "ordinary"])
def test_a_standby_that_no_commit_waits_for_is_seen(server: PostgresServer, user: str) -> None:
    assert copies(server, user) is Copies.NONE
    with follower(server):
        assert copies(server, user) is Copies.LATE


def test_a_standby_that_every_commit_waits_for_is_missed(server: PostgresServer) -> None:
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.execute("SELECT pg_reload_conf()")
    try:
        for user in ("postgres", "ordinary"):
            wait_until(lambda u=user: copies(server, u) is Copies.MISSING, "what is set")
        with follower(server):
            assert copies(server, "postgres") is Copies.MISSING
            assert copies(server, "ordinary") is Copies.WAITS  # it sees that somebody is there
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
        wait_until(lambda: copies(server, "postgres") is Copies.NONE, "what was set before")


def test_who_reads_for_long_is_seen(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(Address(server.url()), "SELECT 1").long_read is None
    monkeypatch.setattr(postgresql_look, "_LONG", 0.1)
    with psycopg.connect(server.url(), application_name="pg_dump") as dump:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SELECT 1")

        def is_seen() -> bool:
            found = look(Address(server.url()), "SELECT 1").long_read
            return found is not None and found.who == f"pg_dump, process {dump.info.backend_pid}"

        wait_until(is_seen, "the dump")


@pytest.mark.timeout(PATIENCE)
def test_a_frozen_server_is_not_waited_for_without_end(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []

    def connect_and_freeze(address: Address, watch: Watch) -> object:
        connection = connect(address, watch)
        frozen.append(connection.info.backend_pid)
        server.pause(frozen[-1])
        return connection

    monkeypatch.setattr(postgresql_look, "connect", connect_and_freeze)
    try:
        with pytest.raises(StoreAwayError, match="no answer within"):
            look(Address(server.url()), "SELECT 1", 0.5)
    finally:
        server.resume(frozen[0])
