"""Fixtures for every room: a running node, and what the project itself needs of its tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import rfc_index
from tests.support.node import CAPTURE_ALL, Node

NodeMaker = Callable[..., Node]

# On a busy machine one value may take a second to draw: that says nothing about what is tested.
settings.register_profile("gatepost", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gatepost")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test with the usual mask: programs of other users read what tests write."""
    os.umask(0o022)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rfc-index", type=Path, metavar="FILE", help="write the RFC sections that tests show"
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    path = session.config.getoption("--rfc-index")
    if path is not None:
        rfc_index.write(session.items, path)


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeMaker]:
    """Make and start nodes: make_node(settings="…toml…", workers=2). They end with the test."""
    made: list[Node] = []

    def make(settings: str = CAPTURE_ALL, *, workers: int = 1, start: bool = True) -> Node:
        node = Node(tmp_path / f"node{len(made)}", settings, workers)
        made.append(node)
        node.set_up()
        if start:
            node.start()
        return node

    yield make
    for node in made:
        node.stop()


@pytest.fixture
def node(make_node: NodeMaker) -> Node:
    """A running node that captures all mail, with one account."""
    return make_node()


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One running node for many tests that only send through it and look at their own mail."""
    node = Node(tmp_path_factory.mktemp("shared-node"))
    node.set_up()
    node.start()
    yield node
    node.stop()
