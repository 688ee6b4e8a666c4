"""What every client's test uses: one node for all of them, and a letter of the test's own."""

from collections.abc import Iterator

import pytest

from tests.support.letters import Letter, letter
from tests.support.node import Node


@pytest.fixture
def sent(shared_node: Node) -> Letter:
    """A letter that has not been sent yet."""
    return letter(shared_node)


@pytest.fixture(autouse=True)
def _forgive_wrong_passwords(request: pytest.FixtureRequest) -> Iterator[None]:
    """Five wrong passwords lock an account out: those of one test are not the next one's fault."""
    yield
    if "wrong" in request.node.name and "shared_node" in request.fixturenames:
        node: Node = request.getfixturevalue("shared_node")
        node.run("account", "unlock", node.account, check=False)
