"""Running nodes that the tests of one module share."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.node import Node

ACCOUNT = "app@sender.test"
PASSWORD = "correct horse"

NodeOf = Callable[..., Node]

LOCAL = """
[[local_domains]]
name = "local.test"
mailboxes = ["alice"]
deliver_to = "maildir:local"
[[local_domains]]
name = "all.test"
deliver_to = "maildir:all"
[[routes]]
match = ["*"]
via = "capture"
"""


@pytest.fixture(scope="module")
def node_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOf]:
    """Make nodes that live as long as the module: node_of("limits.idle …", workers=2)."""
    made: dict[tuple[str, int], Node] = {}

    def make(settings: str = LOCAL, *, workers: int = 1) -> Node:
        key = (settings, workers)
        if key not in made:
            node = Node(tmp_path_factory.mktemp("node"), settings, workers, ACCOUNT, PASSWORD)
            node.set_up(ACCOUNT, "@brand.test")
            node.start()
            made[key] = node
        return made[key]

    yield make
    problems = [node.log.read_text() for node in made.values() if node.stop() != 0]
    assert not problems
