"""Two nodes over one PostgreSQL are brought to the next release one after the other, under load: nobody is
refused, nothing is lost or comes twice; what the older one needs goes when the last of it has gone.

The older release is the present program; the newer one is the same with more versions of the schema.
With RELEASES=OLD:NEW (folders with a `gatepost` package each) real ones are tried instead.
"""

import os
import tempfile
from pathlib import Path

import pytest

from tests.crash.conftest import SETTINGS, SinkProcess
from tests.crash.ledger import judge
from tests.crash.load import Load
from tests.crash.test_orderly_ends import DRAIN, nothing_twice
from tests.crash.test_upgrade_live import TIDY_OFTEN, switch
from tests.support.node import Node, wait_until
from tests.support.postgresql import PostgresServer
from tests.support.two_nodes import two_nodes

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]

#: A newer program. It adds a table, and fills in a column of the queue in portions when no older one
#: is left; and it does not wait long for those that say nothing.
NEWER = """
from datetime import timedelta
from gatepost.store import postgresql_schema
from gatepost.store.schema import Version

postgresql_schema.VERSIONS += (
    Version("CREATE TABLE more (name TEXT PRIMARY KEY)"),
    Version(
        "ALTER TABLE account ADD COLUMN sorted TEXT",
        post=(
            "UPDATE account SET sorted = name WHERE name IN"
            " (SELECT name FROM account WHERE sorted IS NULL LIMIT 500)",
        ),
    ),
)
from gatepost.store import postgresql_upgrade

postgresql_upgrade._UNHEARD = timedelta(seconds=3)
"""
REAL = "RELEASES" in os.environ
#: Seconds until the half after is done.
AFTER = 400.0 if REAL else 150.0


def releases(directory: Path) -> list[Path]:
    """Return the folders of the older and the newer release."""
    if REAL:
        return [Path(each) for each in os.environ["RELEASES"].split(":")]
    older, newer = directory / "older", directory / "newer"
    for folder in (older, newer):
        folder.mkdir()
    (newer / "sitecustomize.py").write_text(NEWER + TIDY_OFTEN)
    return [older, newer]


def marks(server: PostgresServer) -> dict[str, int]:
    return dict(server.execute("SELECT name, value FROM schema_mark", "gatepost"))


def take_over(node: Node, link: Path, program: Path, load: Load) -> None:
    former = node.process
    assert former is not None
    switch(link, program)
    load.wait_for(50)
    node.restart()
    load.wait_for(50)
    wait_until(lambda: former.poll() is not None, "the former's end", patience=DRAIN)
    load.wait_for(100)


def test_nodes_go_to_the_next_release_one_after_the_other(seed: int) -> None:
    print(f"\nupgrade of two nodes under load, CRASH_SEED={seed}")
    directory = Path(tempfile.mkdtemp(prefix="gatepost-upgrade-"))
    older, newer = releases(directory)
    sink = SinkProcess(directory / "journal")
    server = PostgresServer()
    load = None
    nodes: tuple[Node, ...] = ()
    try:
        server.start()
        sink.start()
        server.execute("CREATE DATABASE gatepost")
        links = directory / "program0", directory / "program1"
        for link in links:
            switch(link, older)
        settings = SETTINGS.format(port=sink.port)
        nodes = two_nodes(directory, server.url("gatepost"), settings, programs=links)
        for node in nodes:
            node.start()
        began = marks(server)["version"]
        load = Load(nodes[0], seed, clients=4, others=nodes[1:])
        load.start()
        load.wait_for(100)
        take_over(nodes[1], links[1], newer, load)
        version = marks(server)["version"]
        print(f"  version {began} and version {version} serve side by side")
        assert version > began
        # The way back is open as long as an older one is at work.
        take_over(nodes[1], links[1], older, load)
        take_over(nodes[1], links[1], newer, load)
        assert marks(server)["tidied"] < version or REAL
        take_over(nodes[0], links[0], newer, load)
        wait_until(lambda: marks(server)["tidied"] == version, "the half after", patience=AFTER)
        print(f"  version {version} serves alone")
        load.wait_for(50)
        if marks(server)["oldest"] > began:
            switch(links[0], older)
            refused = nodes[0].run("restart", check=False)
            assert refused.returncode == 1
            assert "the former one goes on" in refused.stderr
            switch(links[0], newer)
        load.wait_for(50)
        load.stop()
        empty = ("queue", "list", "--limit", "1")
        wait_until(lambda: not nodes[0].json(*empty), "an empty queue", patience=200.0)
        assert nodes[1].json("queue", "verify") == []
        found = judge(load.sent, sink.arrivals())
        print(found.report())
        assert not found.faults, "\n".join(found.faults[:20])
        assert nothing_twice(found)
        assert not load.refusals
        assert not load.sessions["broken"]
    finally:
        if load is not None:
            load.abandon()
        for node in nodes:
            node.stop()
        sink.kill()
        server.remove()
