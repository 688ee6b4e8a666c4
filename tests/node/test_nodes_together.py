"""What two nodes over one PostgreSQL count together; how one that is killed gives way; what clients
hear while the database is away.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.talk import Talk, anyone
from tests.node.test_quotas import HOLD_ALL, App, app_on, crowd
from tests.support.node import Node, on_all_workers, wait_until
from tests.support.postgresql import HASTY, PostgresServer, database_of
from tests.support.two_nodes import two_nodes

#: Seconds within which a client must have heard something while the database is away.
SOON = 25.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    directory = tmp_path_factory.mktemp("pair")
    nodes = two_nodes(directory, database_of(directory), HOLD_ALL)
    for node in nodes:
        node.start()
    yield nodes
    for node in nodes:
        node.stop()


def login(node: Node, password: str, source: str) -> str:
    with Talk(node.ports.submissions, tls=anyone(), source=source) as talk:
        talk.hello()
        return talk.login(node.account, password)


async def test_200_sessions_on_two_nodes_send_exactly_the_limit(pair: tuple[Node, Node]) -> None:
    first, second = pair
    app = await asyncio.to_thread(app_on, first, "--hourly", "500")
    both = await asyncio.gather(
        crowd(app, 100, 500), crowd(App(second, app.name, app.secret), 100, 500)
    )
    assert sum(accepted for accepted, _ in both) == 500
    assert sum(refused for _, refused in both) == 200
    assert app.limits() == {("messages", "hour"): 500}


def test_who_guessed_at_one_node_is_locked_out_of_the_other(pair: tuple[Node, Node]) -> None:
    first, second = pair
    for number in range(5):
        assert login(first, f"guess {number}", "127.0.0.7").startswith("535")
    on_all_workers(
        lambda: login(second, second.password, "127.0.0.7").startswith("454"),
        "the lock on the other node",
    )
    assert login(second, second.password, "127.0.0.8").startswith("235")


def test_nodes_are_listed_and_a_name_is_one_node_s(pair: tuple[Node, Node], tmp_path: Path) -> None:
    first, second = pair

    def listed() -> list[tuple[str, str, int]]:
        rows = second.json("node", "list")
        return [(row["node"], row["state"], len(row["workers"])) for row in rows]

    # Ports are open before every worker has said that it is there.
    wait_until(lambda: listed() == [("n0", "alive", 2), ("n1", "alive", 2)], "all workers")
    twin = Node(tmp_path / "twin", HOLD_ALL, 1, top=first.top)
    twin.run("init", str(twin.directory))
    twin.configure(HOLD_ALL)
    shutil.copy2(first.data_dir / "master.key", twin.data_dir / "master.key")
    done = twin.run("serve", check=False)
    assert done.returncode == 2
    assert 'another node that is called "n0" is alive' in done.stderr


def test_the_database_goes_and_comes_back(tmp_path: Path) -> None:
    server = PostgresServer(HASTY)
    nodes: tuple[Node, ...] = ()
    try:
        server.start()
        server.execute("CREATE DATABASE gatepost")
        nodes = two_nodes(tmp_path, server.url("gatepost"), HOLD_ALL, workers=1)
        for node in nodes:
            node.start()
        apps = [App(node, node.account, node.password) for node in nodes]
        with apps[0].talk() as one, apps[1].talk() as two:
            talks = list(zip(apps, (one, two), strict=True))
            assert all(app.send(talk).startswith("250") for app, talk in talks)
            server.stop()
            for app, talk in talks:
                began = time.monotonic()
                assert app.send(talk).startswith("451 4.3.0")
                assert time.monotonic() - began < SOON
                assert talk.ask("NOOP").startswith("250"), "the session lives on"
            server.start()
            for app, talk in talks:
                wait_until(lambda a=app, t=talk: a.send(t).startswith("250"), "the database again")
        held = nodes[0].json("queue", "list", "--account", nodes[0].account)
        assert len(held) >= 4
        assert nodes[1].json("queue", "verify") == []
    finally:
        for node in nodes:
            node.stop()
        server.remove()
