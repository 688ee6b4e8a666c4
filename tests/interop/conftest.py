"""What every client's test uses: one node for all of them, and a letter of the test's own."""

import pytest

from tests.support.letters import Letter, letter
from tests.support.node import Node


@pytest.fixture
def sent(shared_node: Node) -> Letter:
    """A letter that has not been sent yet."""
    return letter(shared_node)
