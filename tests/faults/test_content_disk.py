"""The disk of contents is not mounted when a node starts: mail waits for it, and none goes astray."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Scene
from tests.support.node import wait_until
from tests.support.programs import no_rights

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]


class ContentDisk:
    """A directory that is mounted where contents lie."""

    def __init__(self, disk: Path, place: Path) -> None:
        self.disk, self.place = disk, place

    def mount(self) -> str:
        """Return what is in the way, "" for nothing."""
        words = ["mount", "--bind", self.disk, self.place]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        return done.stderr.strip()

    def unmount(self) -> None:
        subprocess.run(["umount", self.place], check=True, timeout=30)


@pytest.fixture
def disk(scene: Scene, tmp_path: Path) -> Iterator[ContentDisk]:
    made = ContentDisk(tmp_path / "disk", scene.node.data_dir / "content")
    for path in (made.disk, made.place):
        path.mkdir(parents=True, mode=0o700)
    if words := made.mount():
        no_rights(f"a mount needs root and mount(8): {words}")
    yield made
    scene.node.stop()
    subprocess.run(["umount", "-l", made.place], check=True, timeout=30)


@pytest.mark.rfc("5321#4.2.5")
def test_mail_waits_until_the_disk_is_mounted(scene: Scene, disk: ContentDisk) -> None:
    scene.node.set_up()
    scene.node.start()
    scene.sink.kill()
    talk = scene.session()
    for _ in range(5):
        assert scene.send(talk).startswith("250")
    talk.close()
    scene.node.stop()
    disk.unmount()
    scene.node.start()
    for _ in range(6):  # whichever worker is met
        with scene.session() as talk:
            assert scene.send(talk).startswith("451 4.3.0 ")
    assert list(disk.place.iterdir()) == []
    done = scene.node.run("check", check=False)
    assert done.returncode == 1
    assert "is not the directory that mail was stored in: is its disk mounted?" in done.stdout
    scene.wait_for_words('"gatepost store adopt" goes on with what is there')
    scene.wait_for_words("message not stored: ")
    # Tried all the same: nobody hears that their mail could not be sent.
    scene.sink.start()
    scene.node.run("queue", "retry", "--all")
    wait_until(lambda: _reasons(scene) == {"no stored content can be read"}, "mail that waits")
    assert disk.mount() == ""
    scene.send_until(scene.session(), "250")
    wait_until(lambda: _tried_again(scene), "all accepted mail at the next hop")
    assert scene.node.json("queue", "verify") == []


def _reasons(scene: Scene) -> set[str]:
    rows = scene.node.json("queue", "list")
    assert len(rows) == len(scene.promised)
    return {str(row["reason"]).partition(":")[0] for row in rows}


def _tried_again(scene: Scene) -> bool:
    scene.node.run("queue", "retry", "--all")
    return not scene.missing() and scene.is_up_to_date()


def test_where_the_disk_is_lost_an_operator_goes_on_without_it(
    scene: Scene, disk: ContentDisk
) -> None:
    scene.node.set_up()
    scene.node.start()
    with scene.session() as talk:
        assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    scene.node.stop()
    disk.unmount()
    repaired = scene.node.run("store", "repair", check=False)
    assert repaired.returncode == 1
    assert "mount the right one" in repaired.stderr
    scene.node.start()
    said = scene.node.run("store", "adopt").stdout
    assert said == f"Mail is stored in {disk.place} from now on.\n"
    with scene.session() as talk:
        assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "an empty queue")
    assert disk.mount() == ""  # the fixture takes it away again
