"""The database's primary dies under load, its standby is promoted: nodes find it by themselves."""

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.conftest import SETTINGS, SinkProcess
from tests.crash.ledger import Kill, judge
from tests.crash.load import Load
from tests.support.node import wait_until
from tests.support.postgresql import PostgresServer
from tests.support.two_nodes import two_nodes

pytestmark = [pytest.mark.crash, pytest.mark.timeout(500)]


@contextmanager
def replicated() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary whose commits wait for its standby, and the standby."""
    primary, standby = PostgresServer(), PostgresServer()
    try:
        primary.start()
        standby.directory.chmod(0o755)
        standby.data.mkdir(exist_ok=True)
        standby.data.chmod(0o700)
        standby.own()
        standby.run(
            "pg_basebackup", "-d", primary.url(), "-D", str(standby.data), "-R", "-c", "fast"
        )
        standby.start()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        wait_until(lambda: _in_step(primary), "a standby in step")
        yield primary, standby
    finally:
        primary.remove()
        standby.remove()


def _in_step(primary: PostgresServer) -> bool:
    return primary.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)]


def test_a_promoted_standby_has_all_that_got_250(seed: int) -> None:
    print(f"\nfail-over under load, CRASH_SEED={seed}")
    directory = Path(tempfile.mkdtemp(prefix="gatepost-failover-"))
    sink = SinkProcess(directory / "journal")
    with replicated() as (primary, standby):
        sink.start()
        primary.execute("CREATE DATABASE gatepost")
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://postgres@{hosts}/gatepost"
        nodes = two_nodes(directory, url, SETTINGS.format(port=sink.port), workers=1)
        load = Load(nodes[0], seed, clients=4, others=nodes[1:], patience=20.0)
        try:
            for node in nodes:
                node.start()
            load.start()
            load.wait_for(100)
            began = time.monotonic()
            primary.stop(signal.SIGQUIT)
            standby.execute("SELECT pg_promote()")
            load.wait_for(20)
            lasts = time.monotonic() - began
            print(f"  mail was taken again after {lasts:.1f} s")
            load.wait_for(100)
            load.stop()
            empty = ("queue", "list", "--limit", "1")
            wait_until(lambda: not nodes[0].json(*empty), "an empty queue", patience=200.0)
            assert nodes[1].json("queue", "verify") == []
            found = judge(load.sent, sink.arrivals(), [Kill("store", began, lasts)])
            print(found.report())
            assert not found.faults, "\n".join(found.faults[:20])
        finally:
            load.abandon()
            for node in nodes:
                node.stop()
            sink.kill()
