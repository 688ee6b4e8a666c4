"""Full, broken and read-only disks under a running node: clients are put off, nothing that was
accepted is lost, and all goes on by itself when the cause has gone.
"""

import errno
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import MEBI, Disk, Scene, World, mount_image
from tests.support.node import wait_until
from tests.support.programs import need

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

MakeDisk = Callable[..., Disk]
FULL = "452 4.3.1 "
AWAY = "451 4.3.0 "


def begin(scene: Scene) -> None:
    scene.node.set_up()
    scene.node.start()


def end(scene: Scene) -> None:
    """All that was promised has arrived, and the store is whole."""
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "an empty queue")
    assert scene.node.json("queue", "verify") == []


@pytest.mark.rfc("5321#4.5.3.1.10")
def test_a_disk_filled_to_the_reserve_still_settles(scene: Scene, make_disk: MakeDisk) -> None:
    disk = make_disk(scene.node.data_dir)
    begin(scene)
    talk = scene.session()
    scene.sink.kill()
    for _ in range(30):
        assert scene.send(talk).startswith("250")
    disk.fill(leave=MEBI)  # the reserve of so small a disk is 2 MiB
    assert scene.send_until(talk, FULL)
    scene.sink.start()
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "settled within the reserve")
    assert scene.send(talk).startswith(FULL)
    scene.wait_for_words("is full up to the reserve: new mail is put off (452)")
    disk.relieve()
    scene.send_until(talk, "250")
    end(scene)
    scene.wait_for_words("has room again")


@pytest.mark.rfc("5321#4.5.3.1.10")
def test_a_disk_without_an_octet_left(scene: Scene, make_disk: MakeDisk) -> None:
    disk = make_disk(scene.node.data_dir)
    begin(scene)
    talks = [scene.session() for _ in range(4)]
    scene.sink.kill()
    for talk in talks:
        assert scene.send(talk).startswith("250")
    disk.fill(leave=0)
    for talk in talks:
        scene.send_until(talk, FULL)
    scene.sink.start()
    for talk in talks:
        assert scene.send(talk).startswith(FULL)
    newcomer = scene.session()
    disk.relieve()
    for talk in [*talks, newcomer]:
        scene.send_until(talk, "250")
    end(scene)


def test_no_names_left(scene: Scene, make_disk: MakeDisk) -> None:
    disk = make_disk(scene.node.data_dir, inodes=60)
    begin(scene)
    talk = scene.session()
    assert scene.send(talk).startswith("250")
    disk.use_up_names()
    assert scene.send_until(talk, FULL)
    disk.free_names()
    scene.send_until(talk, "250")
    end(scene)


def test_a_full_disk_is_named_at_the_start(scene: Scene, make_disk: MakeDisk) -> None:
    disk = make_disk(scene.node.data_dir)
    scene.node.set_up()
    (scene.node.data_dir / "gatepost.db-shm").unlink(missing_ok=True)
    disk.fill(leave=0)
    assert f"the disk that holds {disk.path} is full: make room on it" in scene.refusal()
    disk.relieve()
    scene.node.start()
    assert scene.send(scene.session()).startswith("250")
    end(scene)


def test_a_disk_that_is_read_only_at_the_start(scene: Scene, make_disk: MakeDisk) -> None:
    disk = make_disk(scene.node.data_dir)
    scene.node.set_up()
    disk.remount("ro")
    assert f"cannot write to {disk.path}: read-only file system" in scene.refusal()
    listed = scene.node.run("queue", "list", check=False)
    assert listed.returncode == 2
    assert "read-only" in listed.stderr.lower(), listed.stderr
    disk.remount("rw")
    scene.node.start()
    assert scene.send(scene.session()).startswith("250")
    end(scene)


@pytest.mark.parametrize(
    ("error", "reply"),
    [(errno.EROFS, AWAY), (errno.EIO, AWAY), (errno.ENOSPC, FULL), (errno.EDQUOT, FULL)],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
def test_every_change_fails_for_a_while(scene: Scene, world: World, error: int, reply: str) -> None:
    begin(scene)
    talks = [scene.session() for _ in range(4)]
    scene.sink.kill()
    for talk in talks:
        assert scene.send(talk).startswith("250")
    world.break_disk(error)
    for talk in talks:
        assert scene.send(talk).startswith("4")
        scene.send_until(talk, reply)
    newcomer = scene.session()
    scene.sink.start()
    assert scene.send(newcomer).startswith("4")
    world.break_disk(0)
    for talk in [*talks, newcomer]:
        scene.send_until(talk, "250")
    end(scene)


def test_ext4_gives_up_and_is_repaired(scene: Scene, ext4: Path) -> None:
    """What `errors=remount-ro` does when the device fails: nothing on it can be changed any more."""
    node = scene.node
    begin(scene)
    talk = scene.session()
    scene.sink.kill()
    for _ in range(10):
        assert scene.send(talk).startswith("250")
    subprocess.run(["mount", "-o", "remount,abort", node.data_dir], check=True, timeout=30)
    assert scene.send_until(talk, AWAY)
    assert scene.send(scene.session()).startswith(AWAY)
    scene.sink.start()
    node.stop()
    assert "read-only file system" in scene.refusal()
    subprocess.run(["umount", node.data_dir], check=True, timeout=30)
    subprocess.run([need("fsck.ext4"), "-p", ext4], check=False, timeout=30)
    assert mount_image(ext4, node.data_dir) == 0
    node.start()
    assert scene.send(scene.session()).startswith("250")
    end(scene)
