"""A primary and its standby, on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.node import wait_until
from tests.support.postgresql import PostgresServer


@contextmanager
def replicated(*, in_step: bool = True) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary whose commits wait for its standby, if they are to be `in_step`, and the standby."""
    primary, standby = PostgresServer(), PostgresServer()
    try:
        if not (standby.programs / "pg_basebackup").exists():
            pytest.skip("programs of this PostgreSQL cannot replicate: they have no pg_basebackup")
        primary.start()
        standby.directory.chmod(0o755)
        standby.data.mkdir(exist_ok=True)
        standby.data.chmod(0o700)
        standby.own()
        standby.run(
            "pg_basebackup", "-d", primary.url(), "-D", str(standby.data), "-R", "-c", "fast"
        )
        standby.start()
        if in_step:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.execute("SELECT pg_reload_conf()")
            wait_until(lambda: _in_step(primary), "a standby in step")
        yield primary, standby
    finally:
        primary.remove()
        standby.remove()


def _in_step(primary: PostgresServer) -> bool:
    return primary.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)]
