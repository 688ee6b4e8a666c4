"""A master key that is lost is never replaced in silence."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import NodeMaker
from tests.support.node import Node, environment, wait_until


def serve(node: Node) -> subprocess.CompletedProcess[str]:
    """Try to serve, where that ends at once."""
    return subprocess.run(
        [sys.executable, "-m", "gatepost", "-c", str(node.config), "serve"],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(),
        check=False,
    )


def test_without_its_key_a_store_is_not_served_until_an_operator_says_so(
    make_node: NodeMaker, tmp_path: Path
) -> None:
    node = make_node()
    node.run("domain", "add", "example.com")
    node.stop()
    key = node.data_dir / "master.key"
    key.rename(tmp_path / "lost")

    def refused(*words: str) -> None:
        for done in (
            serve(node),
            node.run("check", check=False),
            node.run("domain", "add", "other.test", check=False),
            node.run("domain", "rotate-key", "example.com", check=False),
        ):
            said = done.stdout + done.stderr
            assert done.returncode == 2, said
            assert all(word in said for word in (*words, "master.key", "adopt-key")), said
            assert "Traceback" not in said

    refused("no such file")
    assert not key.exists()
    adopted = node.run("store", "adopt-key").stdout
    assert "example.com" in adopted
    assert "links in mail that was sent before work no more" in adopted
    assert key.exists()
    again = node.run("store", "adopt-key").stdout
    assert "already: nothing was changed" in again
    assert "example.com" in again  # what was sealed with the lost one stays closed
    assert "links" not in again
    node.start()
    node.stop()

    (tmp_path / "lost").rename(key)  # a backup that came too late
    refused("not the key")


def another_key(directory: Path) -> Path:
    """Return the key of a node that was set up by itself."""
    other = Node(directory / "other", top="# unlike all others\n")
    other.set_up()
    return other.data_dir / "master.key"


def test_a_key_that_is_another_one_is_not_taken_over(make_node: NodeMaker, tmp_path: Path) -> None:
    node = make_node()
    wait_until(lambda: "all workers serve" in node.log.read_text(), "its worker")
    good = node.config.read_text()
    other = another_key(tmp_path)
    begin = len(node.log.read_text())
    node.config.write_text(f'master_key = "{other}"\n{good}')
    node.signal(signal.SIGHUP)
    wait_until(lambda: "not taken over" in node.log.read_text()[begin:], "a line in the log")
    said = node.log.read_text()[begin:]
    assert "another key" in said
    assert "Traceback" not in said


def test_a_key_that_was_moved_is_taken_over_and_another_in_its_place_is_not(
    make_node: NodeMaker, tmp_path: Path
) -> None:
    node = make_node(workers=2)
    wait_until(lambda: "all workers serve" in node.log.read_text(), "both workers")
    good = node.config.read_text()
    moved, other = tmp_path / "moved.key", another_key(tmp_path)
    (node.data_dir / "master.key").rename(moved)

    def reloaded(path: Path, words: str) -> str:
        begin = len(node.log.read_text())
        node.config.write_text(f'master_key = "{path}"\n{good}')
        node.signal(signal.SIGHUP)
        wait_until(lambda: words in node.log.read_text()[begin:], words)
        return node.log.read_text()[begin:]

    said = reloaded(other, "the former one stays in force")
    assert f"{other}: this is not the key" in said
    reloaded(moved, "taken over by all workers")
